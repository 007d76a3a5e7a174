//! How a shell finds this program.

use std::path::PathBuf;

/// What a user types to call this program: its name if they typed a name, or else its path.
pub(crate) fn program() -> PathBuf {
    let typed = std::env::args_os()
        .next()
        .map_or_else(PathBuf::new, PathBuf::from);
    if typed.components().count() == 1 {
        typed
    } else {
        std::env::current_exe().unwrap_or(typed)
    }
}

/// The folder of this program; `None` if `PATH` has it.
pub(crate) fn folder_outside_path() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_known = std::env::split_paths(&path).any(|known| known == folder);
    (!is_known).then(|| folder.to_owned())
}
