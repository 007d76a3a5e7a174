//! No two files name each other.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::tokens;
use super::{product, sources};

type ModulePath = Vec<String>;

/// What one file defines and names.
#[derive(Default)]
struct Names {
    module: ModulePath,
    defined: BTreeSet<String>,
    /// Each imported name or child module with its path, and whether it is only exported.
    imported: BTreeMap<String, (ModulePath, bool)>,
    /// Paths outside of imports.
    used: BTreeSet<ModulePath>,
}

impl Names {
    fn read(file: &str, text: &str) -> Self {
        let mut module: ModulePath = file
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        module.retain(|part| part != "mod" && part != "lib");
        let mut names = Self {
            module,
            ..Self::default()
        };
        let tokens = tokens(&product(text));
        let mut depth = 0;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let next = tokens.get(at + 1).cloned().unwrap_or_default();
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "use" => {
                    let is_exported = at > 0 && ["pub", ")"].contains(&tokens[at - 1].as_str());
                    at = names.read_use(&tokens, at + 1, &[], is_exported);
                    continue;
                }
                "mod" => {
                    let path = [names.module.clone(), vec![next.clone()]].concat();
                    names.imported.insert(next, (path, true));
                }
                "struct" | "enum" | "trait" | "type" | "const" | "static" | "fn" if depth == 0 => {
                    names.defined.insert(next);
                }
                word if word.starts_with(|c: char| c.is_alphabetic()) => {
                    let mut path = vec![word.to_owned()];
                    while tokens.get(at + 1).is_some_and(|next| next == "::")
                        && tokens
                            .get(at + 2)
                            .is_some_and(|next| next != "<" && next != "{")
                    {
                        path.push(tokens[at + 2].clone());
                        at += 2;
                    }
                    names.used.insert(path);
                }
                _ => {}
            }
            at += 1;
        }
        names
    }

    /// Reads an import tree from `at`, and returns where it ends.
    fn read_use(
        &mut self,
        tokens: &[String],
        mut at: usize,
        prefix: &[String],
        is_exported: bool,
    ) -> usize {
        let mut path = prefix.to_vec();
        let mut is_module = false;
        loop {
            match tokens[at].as_str() {
                "::" => at += 1,
                "{" => {
                    while tokens[at] != "}" {
                        at = self.read_use(tokens, at + 1, &path, is_exported);
                    }
                    return at + 1;
                }
                "as" | "," | "}" | ";" => break,
                "self" if !path.is_empty() => {
                    is_module = true;
                    at += 1;
                }
                word => {
                    path.push(word.to_owned());
                    at += 1;
                }
            }
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if tokens[at] == "as" {
            name.clone_from(&tokens[at + 1]);
            at += 2;
        }
        if path.len() > prefix.len() || is_module {
            self.imported.insert(name, (path, is_exported));
        }
        at
    }

    /// The path from the root of the crate; `None` for another crate's.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let outer = path.iter().take_while(|part| *part == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([&self.module[..], &path[1..]].concat()),
            "super" => {
                let parent = self.module.len().checked_sub(outer)?;
                Some([&self.module[..parent], &path[outer..]].concat())
            }
            name => {
                let (imported, _) = self.imported.get(name)?;
                let child = [&self.module[..], &[name.to_owned()]].concat();
                let imported = if *imported == child {
                    child
                } else if imported.first()? == name {
                    return None;
                } else {
                    self.absolute(imported)?
                };
                Some([&imported[..], &path[1..]].concat())
            }
        }
    }
}

/// The file that defines what a path from the root names; `None` for a module.
fn definition(files: &BTreeMap<String, Names>, path: &[String], depth: u32) -> Option<String> {
    let of = |module: &[String]| files.iter().find(|(_, names)| names.module == module);
    let (length, (file, names)) = (0..=path.len())
        .rev()
        .find_map(|length| Some((length, of(&path[..length])?)))?;
    let name = path.get(length)?;
    if names.defined.contains(name) {
        return Some(file.clone());
    }
    if depth == 0 || !names.imported.contains_key(name) {
        return None;
    }
    let path = names.absolute(&path[length..])?;
    definition(files, &path, depth - 1)
}

#[test]
fn no_two_files_name_each_other() {
    let files: BTreeMap<String, Names> = sources("src")
        .into_iter()
        .filter(|(file, _)| !file.contains("tests") && !file.starts_with("bin/"))
        .map(|(file, text)| (file.clone(), Names::read(&file, &text)))
        .collect();
    let mut arrows = BTreeSet::new();
    for (file, names) in &files {
        let imports = names.imported.iter().filter(|(_, (_, exported))| !exported);
        let imports = imports.map(|(name, _)| vec![name.clone()]);
        for path in names.used.iter().cloned().chain(imports) {
            let path = names.absolute(&path);
            let target = path.and_then(|path| definition(&files, &path, 4));
            arrows.extend(target.map(|target| (file.clone(), target)));
        }
    }
    assert!(arrows.len() > 500, "{} arrows", arrows.len());
    let circles: Vec<String> = arrows
        .iter()
        .filter(|(from, to)| from < to && arrows.contains(&(to.clone(), from.clone())))
        .map(|(from, to)| format!("{from} <-> {to}"))
        .collect();
    assert!(circles.is_empty(), "{circles:?}");
}
