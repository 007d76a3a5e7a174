//! `usher completions` and `usher man`: the commands, for a shell and for `man`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{CommandStatus, print};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  source <(usher completions bash)
  usher completions zsh > ~/.zfunc/_usher
  usher completions fish > ~/.config/fish/completions/usher.fish
  usher completions powershell | Out-String | Invoke-Expression")]
pub(super) struct CompletionsOptions {
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  usher man ~/.local/share/man/man1
  usher man . && man ./usher-dead-letters-replay.1")]
pub(super) struct ManOptions {
    /// Folder to write into; it is created
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn complete(
    usher: Command,
    options: &CompletionsOptions,
) -> anyhow::Result<CommandStatus> {
    print(&completions(usher, options.shell)?)?;
    Ok(CommandStatus::Success)
}

fn completions(mut usher: Command, shell: Shell) -> anyhow::Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut usher, "usher", &mut script);
    Ok(String::from_utf8(script)?)
}

pub(super) fn write_manual(usher: Command, options: &ManOptions) -> anyhow::Result<CommandStatus> {
    let folder = &options.folder;
    let mut root = usher.disable_help_subcommand(true);
    root.build();
    std::fs::create_dir_all(folder)
        .and_then(|()| write_pages(&root, folder))
        .with_context(|| format!("cannot write manual pages into {}", folder.display()))?;
    Ok(CommandStatus::Success)
}

/// Writes the page of a command and those of its subcommands.
fn write_pages(command: &Command, folder: &Path) -> std::io::Result<()> {
    let man = Man::new(without_end(command)).source(concat!("usher ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend(end_of(command).to_roff().into_bytes());
    std::fs::write(folder.join(man.get_filename()), page)?;
    command
        .get_subcommands()
        .try_for_each(|inner| write_pages(inner, folder))
}

/// The command without the end of its help, whose lines [`Man`] would run together.
fn without_end(command: &Command) -> Command {
    command.clone().after_help(None).after_long_help(None)
}

/// The end of the help, such as `Examples:`, as a section whose lines stand as they are.
fn end_of(command: &Command) -> Roff {
    let mut section = Roff::new();
    let end = command
        .get_after_long_help()
        .or_else(|| command.get_after_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let Some((heading, lines)) = end.split_once(':') else {
        return section;
    };
    section.control("SH", [heading.to_uppercase().as_str()]);
    section.control("nf", []);
    for line in lines.trim_matches('\n').lines() {
        section.text([roman(line.trim_start())]);
    }
    section.control("fi", []);
    section
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, ValueEnum};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_shell_completes_commands_and_options() {
        for shell in Shell::value_variants() {
            let script = completions(Cli::command(), *shell).expect("text");
            for word in ["dead-letters", "replay", "dry-run"] {
                assert!(script.contains(word), "{shell} lacks {word}");
            }
        }
    }

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("share/man1");
        let options = ManOptions {
            folder: inner.clone(),
        };
        write_manual(Cli::command(), &options).expect("written");
        let page = |name: &str| std::fs::read_to_string(inner.join(name)).expect("a page");
        let replay = page("usher-dead-letters-replay.1");
        for part in [
            r".TH usher-dead-letters-replay 1",
            r"usher dead\-letters replay",
            r"\fB\-\-dry\-run\fR",
            ".SH \"GLOBAL OPTIONS\"\n",
            ".SH EXAMPLES\n.nf\nusher dead\\-letters replay",
        ] {
            assert!(replay.contains(part), "{part} is missing in {replay}");
        }
        assert!(replay.contains(env!("CARGO_PKG_VERSION")));
        let root = page("usher.1");
        assert!(root.contains(".SH \"EXIT STATUS\"\n"), "{root}");
        assert!(root.contains(r"usher\-reconcile(1)"), "{root}");
        assert!(!inner.join("usher-help.1").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let options = ManOptions {
            folder: file.path().join("man"),
        };
        let error = write_manual(Cli::command(), &options).expect_err("a file is no folder");
        assert!(error.to_string().contains("cannot write manual pages into"));
    }
}
