//! The arithmetic of `docs/reference/costs.md`.

use std::path::Path;

fn page(name: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    std::fs::read_to_string(docs.join(name)).expect("a page")
}

/// The number that a cell begins with: `2,750 GB-seconds` is 2750.
fn number(cell: &str) -> f64 {
    let number = cell.trim().split(' ').next().unwrap_or_default();
    number.replace(',', "").parse().expect(cell)
}

#[test]
fn a_million_sign_ups_cost_the_sum_of_their_parts() {
    let page = page("reference/costs.md");
    let (_, section) = page.split_once("## A million sign-ups").expect("a section");
    let (text, _) = section.split_once("\n## ").expect("an end");
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let mut total = 0.0;
    for row in rows.skip(1) {
        let cells: Vec<&str> = row.split('|').collect();
        let [quantity, price, cost] = [2, 3, 4].map(|at| number(cells[at]));
        assert!((quantity * price - cost).abs() < 0.0006, "{row}");
        total += cost;
    }
    assert!(
        text.contains(&format!("**about {total:.2} USD**")),
        "{total}"
    );
}

#[test]
fn the_measured_figures_are_those_of_the_benchmark() {
    let (costs, benchmarks) = (page("reference/costs.md"), page("internals/benchmarks.md"));
    for (program, column, phrase) in [
        ("usher", 5, "takes # calls in a backlog"),
        ("usher", 4, "# MiB of its 512"),
        ("usher", 3, "takes # ms of processor time"),
        ("usher-trigger", 4, "takes # ms, billed"),
        ("usher-trigger", 5, "# MiB of its 256"),
    ] {
        let start = format!("| {program} |");
        let row = benchmarks.lines().find(|line| line.starts_with(&start));
        let cell = row.and_then(|row| row.split('|').nth(column));
        let value = cell.and_then(|cell| cell.split_whitespace().next());
        let phrase = phrase.replace('#', value.expect(&start));
        assert!(costs.contains(&phrase), "{phrase}");
    }
}
