//! Runs that are interrupted, and the runs that resume them.

use rustix::process::Signal;
use serde_json::json;

use super::{FAST, File, address, count};
use crate::process::Process;
use crate::world::{World, eventually};

impl World {
    /// Starts a run that is slow enough to be interrupted.
    fn start_slowly(&self, file: &File) -> Process {
        let slow = "quota.user_creation=10";
        let mut command = self.usher(&["users", "invite", "--file", file.path(), "--set", slow]);
        command.args(["--pool", &self.pool.id]);
        Process::start(command)
    }

    async fn until_half_way(&self) {
        eventually("ten users are created", || async {
            self.faults.calls("AdminCreateUser") >= 10
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_the_same_command_invites_the_rest_once() {
    let world = World::with_groups(&["STAFF", "TEAM-A"]).await;
    let file = File::of(30);
    let mut process = world.start_slowly(&file);
    world.until_half_way().await;
    process.signal(Signal::KILL);
    process.exit().await;
    let written = file.answers().len();
    assert!((1..30).contains(&written), "{written}");
    // As if the process was killed in the middle of the last line.
    let text = std::fs::read_to_string(file.results()).expect("results");
    std::fs::write(file.results(), &text[..text.len() - 20]).expect("cut");

    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!(status, Some(0), "{err}");
    assert!(
        err.contains(&format!("{} of 30 rows done already", written - 1)),
        "{err}"
    );
    assert_eq!(lines.len(), 30 - (written - 1));
    assert!(count(&lines, "exists") >= 1, "the one whose line was cut");
    world.assert_invited(30).await;
    assert_eq!(file.answers().len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_finishes_rows_in_progress_and_prints_resume_hint() {
    let world = World::with_groups(&["STAFF", "TEAM-A"]).await;
    let file = File::of(60);
    let mut process = world.start_slowly(&file);
    world.until_half_way().await;
    process.signal(Signal::INT);
    let status = process.exit().await;
    let log = process.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("run the same command to continue"), "{log}");
    let users = world.sandbox.users(&world.pool.id).await.expect("users");
    let written = file.answers();
    assert_eq!(
        written.len(),
        users.len(),
        "whoever was made is written down"
    );
    assert_eq!(count(&written, "invited"), users.len());

    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(count(&lines, "invited"), 60 - users.len());
    world.assert_invited(60).await;
}

#[tokio::test]
async fn the_same_row_has_another_hash_in_another_file() {
    let world = World::new().await;
    let text = format!("email\n{}\n", address(0));
    let files = [File::new(&text), File::new(&text)];
    for file in &files {
        let (status, _, err) = world.invite(file, &[]).await;
        assert_eq!(status, Some(0), "{err}");
    }
    let [one, other] = files.map(|file| file.answers()[0]["row"].clone());
    assert!(one.is_string() && other.is_string() && one != other);
}

#[tokio::test]
async fn an_edited_row_is_retried_and_another_pools_file_refused() {
    let world = World::with_groups(&["STAFF"]).await;
    let text = |groups: &str| format!("email,groups\n{},{groups}\n{},\n", address(0), address(1));
    let file = File::new(&text("NOWHERE"));
    let (status, lines, _) = world.invite(&file, &[]).await;
    assert_eq!((status, count(&lines, "refused")), (Some(1), 1));
    let (status, lines, _) = world.invite(&file, &[]).await;
    assert_eq!(
        (status, lines.len()),
        (Some(1), 1),
        "what was refused is tried again"
    );
    file.write(&text("STAFF"));
    let (status, lines, err) = world.invite(&file, &[]).await;
    assert_eq!((status, lines.len()), (Some(0), 1), "{err}");
    assert_eq!(lines[0]["line"], json!(2));
    assert_eq!(world.members("STAFF").await, [address(0)]);

    let mut command = world.usher(&["users", "invite", "--file", file.path(), "--set", FAST]);
    command.args(["--pool", "us-east-1_other"]);
    let (status, _, err) = crate::process::finished(command).await;
    assert_eq!(status, Some(2), "{err}");
    assert!(
        err.contains(&world.pool.id) && err.contains("--results"),
        "{err}"
    );
}
