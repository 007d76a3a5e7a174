//! The line of a row in the terminal.

use crate::cli::{row, width_of};
use crate::reason::GRANT_LATER;
use crate::users::RowResult;

/// The width of the longest status.
const STATUS_WIDTH: usize = 7;
/// A longer address moves the rest of its row.
const MAX_ADDRESS_WIDTH: usize = 40;

/// The widths of the columns of a file's rows.
#[derive(Debug, Default)]
pub(super) struct Widths {
    line: usize,
    address: usize,
}

impl Widths {
    pub(super) fn new<'a>(last_line: u64, addresses: impl Iterator<Item = &'a str>) -> Self {
        Self {
            line: format!("line {last_line}").len(),
            address: width_of(addresses).min(MAX_ADDRESS_WIDTH),
        }
    }
}

/// The line for a person, with the address that they typed.
pub(super) fn row_text(result: &RowResult, address: &str, widths: &Widths) -> String {
    let (mail, explanation) = (result.mail_text(), result.explanation(GRANT_LATER));
    let sub = result.sub.as_deref().unwrap_or("-");
    let status = result.status.name();
    match result.line.map(|line| format!("line {line}")) {
        Some(line) => row(
            [status, &line, address, sub, &mail, &explanation],
            [STATUS_WIDTH, widths.line, widths.address, 0, 0, 0],
        ),
        None => row([status, address, sub, &mail, &explanation], [0; 5]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Class;
    use crate::event::GroupName;
    use crate::provision::{CommandResult, Rejection, RejectionClass};
    use crate::reason::Reason;
    use crate::users::RowStatus;

    #[test]
    fn text_shows_line_status_address_sub_and_mail() {
        let mut row_result = RowResult {
            line: Some(7),
            status: RowStatus::Invited,
            sub: Some("1234".to_owned()),
            created: Some(true),
            mail: Some("sent".to_owned()),
            reason: None,
            group: None,
        };
        let widths = Widths {
            line: 6,
            address: 17,
        };
        let text = |result: &RowResult| row_text(result, "ada@example.com", &widths);
        assert_eq!(
            text(&row_result),
            "invited  line 7  ada@example.com    1234  mail sent"
        );
        row_result.line = None;
        row_result.mail = Some("no_code".to_owned());
        assert_eq!(text(&row_result), "invited  ada@example.com  1234  no code");
        row_result.status = RowStatus::Exists;
        row_result.mail = Some("not_sent".to_owned());
        assert_eq!(text(&row_result), "exists  ada@example.com  1234  no mail");
    }

    #[test]
    fn a_refusal_names_the_group() {
        let refused = |reason: Reason, group: &str| {
            let class = RejectionClass::Failure(Class::Permanent);
            let mut result = CommandResult::from(Rejection::new(reason, class, "words"));
            result.group = GroupName::new(group);
            let result = RowResult::new(Some(3), &result);
            row_text(&result, "ada@example.com", &Widths::default())
        };
        assert_eq!(
            refused(Reason::GroupNotFound, "STAFF"),
            "refused  line 3  ada@example.com  -  -  group STAFF does not exist (names are case-sensitive)"
        );
        assert_eq!(
            refused(Reason::GroupNotGrantable, "ADMINS"),
            "refused  line 3  ada@example.com  -  -  group ADMINS is not in admin.grantable_groups: leave it \
             out here and give it with usher groups add --privileged"
        );
    }
}
