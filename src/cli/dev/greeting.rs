//! What `usher dev` says when it is ready.

use std::fmt::Write;

use super::client::port_option;
use crate::config::{self, in_shell_quotes};
use crate::dev::{ACCOUNT_PASSWORD, ADMIN_ACCOUNT, DevSummary, RunningDev, USER_ACCOUNT};

/// Commands for another terminal, once `usher dev env` has set its variables.
const TRY_NEXT: [&str; 4] = [
    "usher check",
    "usher users invite --email grace@example.com --group STAFF",
    "usher load run --count 200 --quiet-period 3s",
    r#"curl -H "Authorization: Bearer $(usher dev token admin)" $API/v1/users/admin"#,
];

/// With the report below it, it fits a terminal of 24 lines and 80 columns.
pub(super) fn text(running: &RunningDev, summary: &DevSummary, console: &str) -> String {
    let program = config::program();
    greeting(running, summary, console, &program.to_string_lossy())
}

fn greeting(running: &RunningDev, summary: &DevSummary, console: &str, program: &str) -> String {
    let RunningDev {
        endpoint,
        region,
        api,
        health,
        ..
    } = running;
    let mut text = format!(
        "
usher dev is ready until Ctrl-C; nothing is kept. The console's link works once.

  AWS endpoint  {endpoint}  for any AWS SDK, Region {region}
  API, /accept  {api}  health, metrics  {health}
  console       {console}
  accounts      {ADMIN_ACCOUNT}, {USER_ACCOUNT}; password {ACCOUNT_PASSWORD}
"
    );
    if summary.dead_letters > 0 {
        let count = summary.dead_letters;
        let _ = writeln!(text, "  dead letters  {count}; see usher dead-letters list");
    }
    let program = in_shell_quotes(program);
    let port = port_option(running);
    let _ = write!(
        text,
        "
Try next, in another terminal:
  eval \"$({program} dev env{port})\"
"
    );
    for command in TRY_NEXT {
        let _ = writeln!(text, "  {command}");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;
    use crate::cli::dev::report::DevReport;
    use crate::dev::{EventLine, EventOutcome, UserLine};

    const LINK: &str = "http://127.0.0.1:65535/?token=0123456789abcdef0123456789abcdef";

    fn running(port: u16) -> RunningDev {
        let url = |port| format!("http://127.0.0.1:{port}");
        RunningDev {
            endpoint: url(port),
            region: "us-east-1".to_owned(),
            queue: format!("http://127.0.0.1:{port}/123456789012/usher"),
            dead_letter_queue: format!("http://127.0.0.1:{port}/123456789012/usher-dead-letters"),
            pool: "us-east-1_AbCdEf123".to_owned(),
            client: "client".to_owned(),
            table: Some("UserProfile".to_owned()),
            api: url(port - 1),
            health: url(port - 2),
        }
    }

    fn summary(users: usize, profile: Option<bool>) -> DevSummary {
        let line = |n: usize| {
            let user = UserLine {
                sub: format!("5d1c9f3e-7a42-4b8e-9c6d-{n:012}"),
                groups: vec!["EVERYONE".to_owned()],
                profile,
            };
            (format!("user-{n:03}"), user)
        };
        DevSummary {
            signed_up: users,
            provisioned: users,
            groups: (users > 0)
                .then(|| ("EVERYONE".to_owned(), users))
                .into_iter()
                .collect(),
            profiles: if profile.is_some() { users } else { 0 },
            users: (1..=users).map(line).collect(),
            complete: true,
            ..DevSummary::default()
        }
    }

    #[test]
    fn control_characters_of_a_file_name_are_not_printed() {
        let mut summary = summary(0, None);
        summary.events.push(EventLine {
            file: "a\u{1b}[31m\nb\u{202e}.json".to_owned(),
            outcome: EventOutcome::Ignored,
            reason: String::new(),
        });
        let (summary, running) = (&summary, &running(65535));
        let text = DevReport { summary, running }.text();
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(
            text.contains("a\u{fffd}[31m\u{fffd}b\u{fffd}.json\n"),
            "{text}"
        );
    }

    #[test]
    fn greeting_and_report_fit_24_lines_of_80_columns() {
        let failures = DevSummary {
            dead_letters: 6,
            ..summary(200, Some(true))
        };
        let running = running(65535);
        let report = DevReport {
            summary: &failures,
            running: &running,
        };
        let greeting = greeting(&running, &failures, LINK, "usher");
        let screen = format!("{}\n{}", greeting.trim_start(), report.text());
        // The last line of the terminal is for the cursor.
        assert!(screen.lines().count() < 24, "{screen}");
        for line in screen.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for part in [
            "\n  dead letters  6; see usher dead-letters list\n",
            "\n  eval \"$(usher dev env --port 65535)\"\n",
            "\nuser-005  5d1c9f3e-7a42-4b8e-9c6d-000000000005  yes      EVERYONE\n\
             ... and 195 more\n\
             200 signed up, 200 provisioned; 200 in EVERYONE; 200 profiles; 6 dead letters",
        ] {
            assert!(screen.contains(part), "{part} is missing in\n{screen}");
        }
    }

    #[test]
    fn the_default_port_and_one_user_need_no_further_words() {
        let one = summary(1, None);
        let running = running(4566);
        let greeting = greeting(&running, &one, LINK, "/opt/it's/usher");
        assert!(
            greeting.contains("  eval \"$('/opt/it'\\''s/usher' dev env)\"\n"),
            "{greeting}"
        );
        assert!(!greeting.contains("dead letters  "), "{greeting}");
        let report = DevReport {
            summary: &one,
            running: &running,
        };
        assert_eq!(
            report.text(),
            "user      sub                                   profile  groups
user-001  5d1c9f3e-7a42-4b8e-9c6d-000000000001  off      EVERYONE
1 signed up, 1 provisioned; 1 in EVERYONE"
        );
        let none = DevReport {
            summary: &summary(0, None),
            running: &running,
        };
        assert_eq!(none.text(), "0 signed up");
    }

    #[test]
    fn a_failure_shows_every_count() {
        let failed = DevSummary {
            provisioned: 1,
            complete: false,
            ..summary(2, Some(false))
        };
        let running = running(4566);
        let report = DevReport {
            summary: &failed,
            running: &running,
        };
        let text = report.text();
        let totals = "2 signed up, 1 provisioned, 0 already done, 0 passed through, 0 ignored, \
                      0 rejected; 2 in EVERYONE; 2 profiles; 0 dead letters\nNOT COMPLETE: ";
        assert!(text.contains(totals), "{text}");
        assert!(text.contains("  no       EVERYONE\n"), "{text}");
    }

    #[test]
    fn printed_commands_are_commands_of_usher() {
        for command in TRY_NEXT {
            if command.starts_with("usher ") {
                let parsed = Cli::try_parse_from(command.split(' '));
                assert!(parsed.is_ok(), "{command}");
            }
        }
    }
}
