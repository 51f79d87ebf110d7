use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cgroup::owner::{Owner, OwnerState};
use crate::cgroup::{
    Availability, Cgroup, CgroupLimits, Controller, CreateError, Hierarchy, Leftover, Unavailable,
};

/// A host made of files.
struct Host {
    root: TempDir,
}

const V1_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
";
const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

impl Host {
    fn new(membership: &str, mountinfo: &str) -> Self {
        let host = Self {
            root: TempDir::new().unwrap(),
        };
        host.file("proc/self/cgroup", membership);
        host.file("proc/self/mountinfo", mountinfo);
        host.file("proc/self/ns/pid", "");
        host
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A v2 cgroup that is not the root.
    fn v2_group(&self, path: &str, processes: &str, subtree_control: &str) {
        self.file(&format!("{path}/cgroup.type"), "domain\n");
        self.file(&format!("{path}/cgroup.procs"), processes);
        self.file(&format!("{path}/cgroup.controllers"), "cpu memory pids\n");
        self.file(&format!("{path}/cgroup.subtree_control"), subtree_control);
    }

    fn dir(&self, path: &str) -> PathBuf {
        let path = self.root.path().join(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn hierarchy(&self) -> Hierarchy {
        Hierarchy::at(self.root.path())
    }

    fn why(&self, controller: Controller) -> Unavailable {
        match self.hierarchy().probe().get(controller) {
            Availability::Unavailable { why } => why.clone(),
            usable => panic!("{usable:?}"),
        }
    }
}

#[test]
fn v1_groups_go_beneath_our_own_in_each_hierarchy() {
    let host = Host::new(
        "9:memory:/jobs/a:b\n8:pids:/\n2:cpu,cpuacct:/x\n1:freezer:/\n",
        V1_MOUNTS,
    );
    let memory = host.dir("sys/fs/cgroup/memory/jobs/a:b");
    let pids = host.dir("sys/fs/cgroup/pids");
    let cpu = host.dir("sys/fs/cgroup/cpu,cpuacct/x");
    let freezer = host.dir("sys/fs/cgroup/freezer");
    let support = host.hierarchy().probe();
    assert_eq!(support.memory, Availability::V1 { dir: memory });
    assert_eq!(support.pids, Availability::V1 { dir: pids });
    assert_eq!(support.cpu, Availability::V1 { dir: cpu });
    assert_eq!(support.freezer, Availability::V1 { dir: freezer });
}

#[test]
fn hybrid_takes_limits_from_v1_and_killing_from_v2() {
    let unified = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    let host = Host::new(
        "4:memory:/\n2:cpu,cpuacct:/\n0::/\n",
        &format!("{V1_MOUNTS}{unified}"),
    );
    let memory = host.dir("sys/fs/cgroup/memory");
    host.file("sys/fs/cgroup/unified/cgroup.procs", "1\n");
    host.file("sys/fs/cgroup/unified/cgroup.subtree_control", "");
    host.file("sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n");
    let parent = host.dir("sys/fs/cgroup/unified");
    let support = host.hierarchy().probe();
    assert_eq!(support.memory, Availability::V1 { dir: memory });
    assert_eq!(
        support.cpu,
        Availability::V2 {
            parent: parent.clone()
        }
    );
    assert_eq!(support.freezer, Availability::V2 { parent });
    let missing = |controller, path: &Path| Unavailable::ControllerMissing {
        controller,
        path: path.to_owned(),
    };
    assert_eq!(
        host.why(Controller::Pids),
        missing(Controller::Pids, &host.dir("sys/fs/cgroup/unified")),
        "the pids hierarchy is mounted, but /proc/self/cgroup does not list it"
    );
}

#[test]
fn v2_alone_in_our_cgroup_asks_for_a_leaf() {
    let host = Host::new("0::/user.slice/run-1.scope\n", V2_MOUNT);
    let own = format!("{}\n", std::process::id());
    host.v2_group("sys/fs/cgroup/user.slice", "", "");
    host.v2_group("sys/fs/cgroup/user.slice/run-1.scope", &own, "");
    let path = host.dir("sys/fs/cgroup/user.slice/run-1.scope");
    assert_eq!(
        host.why(Controller::Memory),
        Unavailable::NeedsLeaf { path: path.clone() }
    );
    assert_eq!(
        host.hierarchy().probe().freezer,
        Availability::V2 { parent: path },
        "what needs no controller works beneath a cgroup with processes"
    );
}

#[test]
fn v2_with_other_processes_in_our_cgroup_is_refused_with_their_number() {
    let host = Host::new("0::/a.scope\n", V2_MOUNT);
    host.v2_group(
        "sys/fs/cgroup/a.scope",
        &format!("{}\n77\n78\n", std::process::id()),
        "",
    );
    host.file("sys/fs/cgroup/cgroup.procs", "");
    let path = host.dir("sys/fs/cgroup/a.scope");
    assert_eq!(
        host.why(Controller::Pids),
        Unavailable::InternalProcesses { path, others: 2 }
    );
    assert!(host.why(Controller::Pids).hint().contains("systemd-run"));
}

#[test]
fn v2_from_the_leaf_we_moved_to_groups_go_beside_it() {
    let host = Host::new("0::/a.scope/sandbox-7-8-9-supervisor\n", V2_MOUNT);
    host.v2_group("sys/fs/cgroup/a.scope", "", "memory pids\n");
    host.v2_group("sys/fs/cgroup/a.scope/sandbox-7-8-9-supervisor", "7\n", "");
    let parent = host.dir("sys/fs/cgroup/a.scope");
    let support = host.hierarchy().probe();
    assert_eq!(
        support.memory,
        Availability::V2 {
            parent: parent.clone()
        }
    );
    assert_eq!(support.freezer, Availability::V2 { parent });
}

#[test]
fn v2_at_the_root_may_have_processes_and_limited_children() {
    let host = Host::new("0::/\n", V2_MOUNT);
    host.file("sys/fs/cgroup/cgroup.procs", "1\n2\n");
    host.file("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
    host.file("sys/fs/cgroup/cgroup.subtree_control", "");
    let parent = host.dir("sys/fs/cgroup");
    assert_eq!(host.hierarchy().probe().memory, Availability::V2 { parent });
}

#[test]
fn a_read_only_mount_is_said_to_be_one() {
    let host = Host::new("0::/\n", &V2_MOUNT.replace("rw,nosuid", "ro,nosuid"));
    host.v2_group("sys/fs/cgroup", "1\n", "");
    let path = host.dir("sys/fs/cgroup");
    assert_eq!(
        host.why(Controller::Memory),
        Unavailable::ReadOnly { path: path.clone() }
    );
    assert_eq!(host.why(Controller::Freezer), Unavailable::ReadOnly { path });
}

#[test]
fn a_container_that_sees_only_its_own_directory_is_located() {
    let mount = "30 23 0:26 /docker/c1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    let host = Host::new("4:memory:/docker/c1/job\n", mount);
    let dir = host.dir("sys/fs/cgroup/memory/job");
    assert_eq!(host.hierarchy().probe().memory, Availability::V1 { dir });
}

#[test]
fn a_cgroup_outside_the_mounted_part_is_said_to_be_there() {
    for own in ["/elsewhere", "/docker/c1/../c2"] {
        let mount = "30 23 0:26 /docker/c1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let host = Host::new(&format!("4:memory:{own}\n"), mount);
        assert_eq!(
            host.why(Controller::Memory),
            Unavailable::OutsideMount { own: own.into() }
        );
    }
}

#[test]
fn mount_points_with_spaces_are_found() {
    let host = Host::new(
        "4:memory:/\n",
        "30 23 0:26 / /sys/c\\040g rw - cgroup cgroup rw,memory\n",
    );
    let dir = host.dir("sys/c g");
    assert_eq!(host.hierarchy().probe().memory, Availability::V1 { dir });
}

#[test]
fn without_cgroups_every_controller_is_not_mounted() {
    let host = Host::new("", "23 1 0:1 / / rw - ext4 /dev/vda rw\n");
    for controller in Controller::ALL {
        assert_eq!(host.why(controller), Unavailable::NotMounted { controller });
    }
}

#[test]
fn without_proc_the_missing_file_is_named() {
    let root = TempDir::new().unwrap();
    let Availability::Unavailable { why } = Hierarchy::at(root.path()).probe().memory else {
        panic!()
    };
    assert!(why.to_string().contains("proc/self/cgroup"), "{why}");
}

#[test]
fn a_limit_without_a_controller_is_an_error_and_makes_nothing() {
    let host = Host::new("8:pids:/\n", V1_MOUNTS);
    let pids = host.dir("sys/fs/cgroup/pids");
    let limits = CgroupLimits {
        memory: Some(1 << 20),
        ..CgroupLimits::default()
    };
    let error = Cgroup::create(&host.hierarchy().probe(), 0, &limits).unwrap_err();
    assert!(
        matches!(
            error,
            CreateError::Unavailable {
                controller: Controller::Memory,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(fs::read_dir(pids).unwrap().count(), 0);
}

#[test]
fn a_limit_that_the_kernel_refuses_is_an_error_and_leaves_nothing() {
    let host = Host::new("8:pids:/\n", V1_MOUNTS);
    let pids = host.dir("sys/fs/cgroup/pids");
    let limits = CgroupLimits {
        processes: Some(5),
        ..CgroupLimits::default()
    };
    // A plain directory has no pids.max.
    let error = Cgroup::create(&host.hierarchy().probe(), 0, &limits).unwrap_err();
    assert!(error.to_string().ends_with("pids.max: set to 5"), "{error}");
    assert_eq!(fs::read_dir(pids).unwrap().count(), 0);
}

#[test]
fn only_groups_of_dead_owners_are_left_over() {
    let host = Host::new("8:pids:/\n", V1_MOUNTS);
    let namespace = fs::metadata(host.dir("proc/self/ns").join("pid")).unwrap().ino();
    let stat = |state, started| format!("5 (a) b) {state} {}{started} 0\n", "0 ".repeat(18));
    host.file("proc/10/stat", &stat("S", 100));
    host.file("proc/11/stat", &stat("Z", 100));
    let group = |name: String| host.dir(&format!("sys/fs/cgroup/pids/deep/{name}"));
    group(format!("sandbox-10-100-{namespace}-0"));
    group(format!("sandbox-12-100-{}-0", namespace + 1));
    group("sandbox-12-100-x-0".to_owned());
    group("sandbox-12".to_owned());
    host.file(
        &format!("sys/fs/cgroup/pids/sandbox-12-1-{namespace}-supervisor/cgroup.procs"),
        "9\n",
    );
    let dead = [("sandbox-10-99", 1), ("sandbox-11-100", 2), ("sandbox-12-100", 3)]
        .map(|(name, n)| group(format!("{name}-{namespace}-{n}")));
    let found = host.hierarchy().leftovers().unwrap();
    let found: Vec<&PathBuf> = found.iter().flat_map(Leftover::directories).collect();
    assert_eq!(found, dead.iter().collect::<Vec<_>>());
}

#[test]
fn an_owner_survives_its_name() {
    let owner = Owner::current(&Hierarchy::host()).unwrap();
    let name = owner.directory(3);
    assert_eq!(Owner::parse(&name), Some((owner, "3")));
    assert_eq!(owner.state(&Hierarchy::host()).unwrap(), OwnerState::MayLive);
    for foreign in [
        "",
        "sandbox-",
        "sandbox-1-2-3-",
        "sandbox-1-2-3-x",
        "sandbox-1-2-3-4-5",
        "box-1-2-3-4",
    ] {
        assert_eq!(Owner::parse(foreign), None, "{foreign}");
    }
}
