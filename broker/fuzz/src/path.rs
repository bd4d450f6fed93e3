//! Paths and what they are matched with: a path, two route patterns, and mount paths.
//!
//! An accepted path keeps its text; a folder is a folder once and for all; what a pattern takes
//! out of a path makes the path again; patterns of one shape match the same paths; the mount of a
//! path is the longest that it starts with.

use warder_core::{
    path::{MAX_PATH_BYTES, MAX_SEGMENTS, Path},
    route::{Pattern, fuzzing},
};

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    #[cfg(feature = "doors")]
    crate::edge::paths(data);
    let Some(text) = parts::text(&mut data) else { return };
    let patterns = [parts::text(&mut data), parts::text(&mut data)].map(|text| pattern(text.unwrap_or("{path...}")));
    let Ok(path) = Path::parse(text) else { return };
    accepted(&path, text);
    for pattern in patterns.iter().flatten() {
        matched(pattern, path.as_str());
    }
    if let [Some(one), Some(other)] = &patterns
        && one.shape() == other.shape()
    {
        let values = |pattern: &Pattern| {
            let captures = pattern.captures(path.as_str())?;
            Some(captures.into_iter().map(|(_, value)| value).collect::<Vec<_>>())
        };
        assert_eq!(values(one), values(other), "{one:?} and {other:?} on {path}");
    }
    let mut mounts = Vec::new();
    while !data.is_empty() && mounts.len() < 8 {
        mounts.extend(parts::text(&mut data).and_then(|text| Path::parse(text).ok()).map(|path| path.to_folder()));
    }
    mounted(&path, &mounts);
}

fn accepted(path: &Path, text: &str) {
    assert_eq!(path.as_str(), text);
    assert!(text.len() <= MAX_PATH_BYTES && !text.starts_with('/') && !text.contains("//"));
    let segments: Vec<&str> = text.strip_suffix('/').unwrap_or(text).split('/').collect();
    assert!(segments.len() <= MAX_SEGMENTS && !segments.iter().any(|segment| matches!(*segment, "" | "." | "..")));
    assert!(!text.chars().any(char::is_control));
    let folder = path.to_folder();
    assert!(folder.is_folder() && folder.to_folder() == folder);
    assert!(text.len() == MAX_PATH_BYTES || Path::parse(folder.as_str()).as_ref() == Ok(&folder));
    assert_eq!(fuzzing::path_of_key(folder.as_str()).as_deref(), Some(folder.as_str()));
}

fn pattern(text: &str) -> Option<Pattern> {
    let pattern = Pattern::parse(text).ok()?;
    assert_eq!(pattern.as_str(), text);
    let names = pattern.names();
    assert!(names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1), "{text}");
    Some(pattern)
}

fn matched(pattern: &Pattern, path: &str) {
    let Some(captures) = pattern.captures(path) else { return };
    let plain = path.strip_suffix('/').unwrap_or(path);
    assert_eq!(pattern.fill(&captures).as_deref(), Some(plain), "{pattern:?}");
    assert_eq!(captures.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), pattern.names());
    assert!(captures.iter().all(|(_, value)| !value.is_empty()), "{pattern:?} took nothing of {path}");
}

fn mounted(path: &Path, mounts: &[Path]) {
    let records = mounts.iter().filter_map(|path| {
        let record = serde_json::json!({
            "path": path.as_str(), "uuid": "1", "accessor": "kv_1", "plugin": "kv", "description": "",
            "created": 0, "fingerprint_key": "",
        });
        fuzzing::mount(record.to_string().as_bytes()).map(|(mount, _)| mount)
    });
    let table = fuzzing::table(records);
    let found = table.resolve(path.as_str()).map(|mount| mount.path.as_str());
    let longest =
        mounts.iter().map(Path::as_str).filter(|mount| path.as_str().starts_with(mount)).max_by_key(|m| m.len());
    assert_eq!(found, longest, "{path}");
}
