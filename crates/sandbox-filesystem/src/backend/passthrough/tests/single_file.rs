//! One file is shared, and nothing beside it.

use super::super::PassthroughFs;
use super::{OFFERED, root_ctx};
use crate::fs::{DynFileSystem, Errno, Fit, OpenFlags, RenameFlags, SetAttr};

#[test]
fn its_siblings_are_out_of_reach() {
    let place = tempfile::tempdir_in(super::scratch()).unwrap();
    for name in ["shared", "sibling"] {
        std::fs::write(place.path().join(name), name).unwrap();
    }
    let fs = PassthroughFs::builder()
        .root_dir(place.path().join("shared"))
        .single_file()
        .build()
        .unwrap();
    fs.init(OFFERED).unwrap();
    let me = root_ctx();
    let file = fs.lookup(&me, 1, "shared".as_ref()).unwrap().ino;
    assert!(fs.open(&me, file, OpenFlags::RDWR).is_ok());
    assert!(
        fs.create(&me, 1, "shared".as_ref(), 0o644, OpenFlags::RDWR, 0)
            .is_ok()
    );
    assert_eq!(
        fs.setattr(
            &me,
            file,
            &SetAttr {
                size: Some(1),
                ..SetAttr::default()
            }
        )
        .unwrap()
        .0
        .size,
        1
    );

    assert_eq!(fs.lookup(&me, 1, "sibling".as_ref()).unwrap_err(), Errno::ENOENT);
    assert_eq!(fs.lookup(&me, 1, "..".as_ref()).unwrap().ino, 1);
    assert_eq!(
        fs.create(&me, 1, "sibling".as_ref(), 0o644, OpenFlags::RDWR, 0)
            .unwrap_err(),
        Errno::ENOENT
    );
    assert_eq!(fs.unlink(&me, 1, "sibling".as_ref()), Err(Errno::EPERM));
    assert_eq!(fs.unlink(&me, 1, "shared".as_ref()), Err(Errno::EPERM));
    assert_eq!(
        fs.mkdir(&me, 1, "new".as_ref(), 0o755, 0).unwrap_err(),
        Errno::EPERM
    );
    assert_eq!(fs.link(&me, file, 1, "new".as_ref()).unwrap_err(), Errno::EPERM);
    let none = RenameFlags::empty();
    assert_eq!(
        fs.rename(&me, 1, "sibling".as_ref(), 1, "shared".as_ref(), none),
        Err(Errno::EPERM)
    );
    assert_eq!(
        fs.tmpfile(&me, 1, 0o644, OpenFlags::RDWR, 0).unwrap_err(),
        Errno::EPERM
    );
    assert_eq!(
        fs.setattr(&me, 1, &super::chmod(0o777)).unwrap_err(),
        Errno::EPERM
    );

    let handle = fs.opendir(&me, 1, OpenFlags::empty()).unwrap().handle;
    let mut names = Vec::new();
    fs.readdir(&me, 1, handle, 0, &mut |entry| {
        names.push(entry.name.to_owned());
        Ok(Fit::Taken)
    })
    .unwrap();
    names.sort();
    assert_eq!(names, [".", "..", "shared"]);
    assert_eq!(std::fs::read(place.path().join("sibling")).unwrap(), b"sibling");
}

#[test]
fn a_file_that_takes_its_name_is_served_in_its_place() {
    let place = tempfile::tempdir_in(super::scratch()).unwrap();
    let path = place.path().join("shared");
    std::fs::write(&path, "old").unwrap();
    let fs = PassthroughFs::builder()
        .root_dir(&path)
        .single_file()
        .build()
        .unwrap();
    std::fs::write(place.path().join("new"), "newer").unwrap();
    std::fs::rename(place.path().join("new"), &path).unwrap();
    assert_eq!(fs.lookup(&root_ctx(), 1, "shared".as_ref()).unwrap().attr.size, 5);
}
