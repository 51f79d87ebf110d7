//! Equal options and an equal tree give equal bytes.

use std::io::Cursor;

use sandbox_volumes::ext4::{Source, write};

use super::{MIB, options, populated::nasty};

#[test]
fn equal_options_give_equal_bytes() {
    let image = |uuid: [u8; 16]| {
        let mut device = Cursor::new(Vec::new());
        let asked = options(20 * MIB).uuid(uuid).build().expect("options");
        write(&mut device, Source::Tree(&nasty()), &asked).expect("a disk");
        device.into_inner()
    };
    let first = image([7; 16]);
    assert!(first == image([7; 16]), "the second image differs");
    assert!(first != image([8; 16]), "the uuid is not in it");
}

#[test]
fn a_device_with_old_content_gets_the_same_bytes() {
    let asked = options(3 * MIB).build().expect("options");
    let mut fresh = Cursor::new(Vec::new());
    write(&mut fresh, Source::Empty, &asked).expect("a disk");
    let mut used = Cursor::new(vec![0xA5; 5 << 20]);
    write(&mut used, Source::Empty, &asked).expect("a disk");
    assert!(fresh.get_ref() == used.get_ref());
    let mut seekable = sandbox_volumes::ext4::Seekable(Cursor::new(vec![0xA5; 3 << 20]));
    write(&mut seekable, Source::Empty, &asked).expect("a disk");
    assert!(fresh.get_ref() == seekable.0.get_ref());
}

#[test]
fn without_a_uuid_two_disks_differ() {
    use sandbox_types::ByteSize;
    use sandbox_volumes::ext4::{Ext4FormatOptions, Size};
    let asked = Ext4FormatOptions::builder(Size::Bytes(ByteSize::from_bytes(MIB)))
        .build()
        .expect("options");
    let uuid = || {
        write(&mut Cursor::new(Vec::new()), Source::Empty, &asked)
            .expect("a disk")
            .uuid
    };
    let (one, two) = (uuid(), uuid());
    assert_ne!(one, two);
    assert_eq!((one[6] >> 4, one[8] >> 6), (4, 2));
}
