//! Control groups: what the kernel counts and limits per service and container. Versions 2 and 1.

use super::Host;
use crate::found::Gap;
use crate::words;

const ROOT: &str = "/sys/fs/cgroup";
/// Folders below the root.
const DEPTH_MAX: usize = 6;
/// Groups that are looked at.
const GROUPS_MAX: usize = 2000;
/// Names that long are a container's: enough of it to tell them apart.
const ID_CHARS: usize = 12;

/// What groups are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Cpu,
    Memory,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlGroup {
    /// Its folder.
    pub(crate) path: String,
    /// The name of its service or container.
    pub(crate) name: String,
}

/// All groups of a controller, but not the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlGroups {
    pub(crate) groups: Vec<ControlGroup>,
    /// Version 2 has all controllers in one tree, and other files.
    pub(crate) unified: bool,
    /// Whether there are more.
    pub(crate) cut: bool,
}

impl Host {
    /// The groups of a controller.
    ///
    /// # Errors
    /// [`Gap::NotHere`] when the kernel has no such groups; [`Gap::Unknown`] on a root that is not running.
    pub(crate) fn control_groups(&self, controller: Controller) -> Result<ControlGroups, Gap> {
        self.must_live()?;
        let unified = self.exists(&format!("{ROOT}/cgroup.controllers"));
        let folders: &[&str] = match (unified, controller) {
            (true, Controller::Cpu | Controller::Memory) => &[""],
            (false, Controller::Cpu) => &["/cpu,cpuacct", "/cpu"],
            (false, Controller::Memory) => &["/memory"],
        };
        let folder = folders.iter().map(|name| format!("{ROOT}{name}")).find(|folder| self.exists(folder));
        let folder =
            folder.ok_or_else(|| Gap::NotHere(words!("there are no control groups", "没有控制组（cgroup）")))?;
        let mut found = ControlGroups { groups: Vec::new(), unified, cut: false };
        self.walk_groups(&folder, folder.len(), 0, &mut found);
        Ok(found)
    }

    fn walk_groups(&self, folder: &str, root_len: usize, depth: usize, found: &mut ControlGroups) {
        // A group that ends meanwhile is none.
        let Ok(entries) = self.list(folder) else { return };
        for entry in entries.into_iter().filter(|entry| entry.is_folder) {
            if found.groups.len() >= GROUPS_MAX || depth >= DEPTH_MAX {
                found.cut = true;
                return;
            }
            let path = format!("{folder}/{}", entry.name);
            let name = name(path.get(root_len..).unwrap_or_default());
            found.groups.push(ControlGroup { path: path.clone(), name });
            self.walk_groups(&path, root_len, depth + 1, found);
        }
    }
}

/// The service or container of a group's path: `nginx.service` of `/system.slice/nginx.service`. Slices only sort.
#[must_use]
pub(crate) fn name(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let Some((last, above)) = parts.split_last() else { return "/".to_owned() };
    let above = above.iter().filter(|part| !part.ends_with(".slice"));
    above.chain([last]).map(|part| short(part)).collect::<Vec<_>>().join("/")
}

/// Cuts the id of a container: 64 hexadecimal digits.
fn short(part: &str) -> String {
    let is_id = |text: &&str| text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match part.split(['-', '.']).find(is_id) {
        Some(id) => part.replace(id, id.get(..ID_CHARS).unwrap_or(id)),
        None => part.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn walking_is_bounded_in_depth_and_number() {
        let deep =
            Fixture::live().file("/sys/fs/cgroup/cgroup.controllers", "").file("/sys/fs/cgroup/a/b/c/d/e/f/g/x", "");
        let found = deep.host().control_groups(Controller::Memory).unwrap();
        assert_eq!((found.groups.len(), found.unified, found.cut), (DEPTH_MAX, true, true));
        let wide =
            (0..GROUPS_MAX + 5).fold(Fixture::live().file("/sys/fs/cgroup/cgroup.controllers", ""), |host, at| {
                std::fs::create_dir_all(host.path(&format!("/sys/fs/cgroup/g{at}"))).unwrap();
                host
            });
        let found = wide.host().control_groups(Controller::Cpu).unwrap();
        assert_eq!((found.groups.len(), found.cut), (GROUPS_MAX, true));
    }

    #[test]
    fn a_group_is_named_after_its_service_or_container() {
        let id = "0123456789abcdef".repeat(4);
        for (path, expected) in [
            ("/system.slice/nginx.service", "nginx.service"),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "user@1000.service/foo.service"),
            (&format!("/system.slice/docker-{id}.scope"), "docker-0123456789ab.scope"),
            (&format!("/docker/{id}"), "docker/0123456789ab"),
            ("/kubepods.slice/kubepods-pod1.slice", "kubepods-pod1.slice"),
            ("/", "/"),
        ] {
            assert_eq!(name(path), expected);
        }
    }
}
