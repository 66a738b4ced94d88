//! What the documents say is true: their configurations are valid, their links lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// README.md and the like, and what is in `docs`.
fn documents() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join("docs")];
    let mut paths: Vec<PathBuf> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                paths.push(path);
            }
        }
    }
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

#[test]
fn configurations_in_documents_are_valid() {
    let mut found = 0;
    for (path, text) in documents() {
        for block in text.split("\n```toml\n").skip(1) {
            let (block, _) = block.split_once("\n```").unwrap();
            found += 1;
            let file = std::env::temp_dir().join(format!(
                "ebpfix-document-{}-{found}.toml",
                std::process::id()
            ));
            fs::write(&file, block).unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_ebpfix"))
                .args(["check", "--config"])
                .arg(&file)
                .output()
                .unwrap();
            fs::remove_file(&file).unwrap();
            assert!(
                output.status.success(),
                "{}:\n{block}\n{}",
                path.display(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    assert!(found >= 6, "{found} configurations");
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut found = 0;
    for (path, text) in documents() {
        for rest in text.split("](").skip(1) {
            let Some((target, _)) = rest.split_once(')') else {
                continue;
            };
            if target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            found += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            assert!(file.exists(), "{}: {target}", path.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&file).unwrap();
                let there = text
                    .lines()
                    .filter_map(|line| line.strip_prefix('#'))
                    .any(|line| anchor(line.trim_start_matches('#')) == heading);
                assert!(there, "{}: {target}", path.display());
            }
        }
    }
    assert!(found >= 30, "{found} links");
}

/// The name that a heading is linked by.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            letter => letter.is_alphanumeric().then_some(letter),
        })
        .collect()
}
