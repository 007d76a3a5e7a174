//! Names that no pool takes.

use super::File;
use crate::world::World;

const ADDRESS: &str = "zebulon@quagmire.example";
#[tokio::test]
async fn an_invisible_character_is_found_before_anything_is_done() {
    let world = World::new().await;
    let file = File::new(
        "email,username,given_name\nzebulon@\u{200b}quagmire.example,,\n\
         zebulon@quagmire.example,vani\u{ad}shed,\nvanished@quagmire.example,,Zebedee\u{feff}\n",
    );
    let (status, lines, err) = world.invite(&file, &["--dry-run"]).await;
    assert_eq!((status, lines.len()), (Some(2), 0), "{err}");
    for part in [
        "line 2, column email: character 9 is invisible (U+200B)",
        "line 3, column username: character 5 is invisible (U+00AD)",
        "line 4, column given_name: character 8 is invisible (U+FEFF)",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let one = ["invite", "--dry-run", "--email", ADDRESS];
    for (flag, value, part) in [
        (
            "--username",
            "zebu\u{200b}lon",
            "--username: character 5 is invisible (U+200B)",
        ),
        (
            "--given-name",
            "Zebedee\u{200b}",
            "--given-name: character 8 is invisible (U+200B)",
        ),
        (
            "--attribute",
            "phone_number=\u{202a}+15550100",
            "--attribute: phone_number: character 1 is invisible (U+202A)",
        ),
        (
            "--group",
            "STA\u{200b}FF",
            "--group: character 4 is invisible (U+200B)",
        ),
    ] {
        let (status, _, err) = world.order(&[&one[..], &[flag, value]].concat()).await;
        assert_eq!(status, Some(2), "{err}");
        assert!(err.contains(part), "{part}: {err}");
    }
}
