//! CRC32C as ext4 uses it: continued from a seed, without the final inversion.

/// Continues `seed` over `bytes`. To a fuzzer all bytes are alike: what lies behind a checksum would never be reached
/// otherwise.
pub(crate) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    if cfg!(fuzzing) {
        0
    } else {
        !crc32c::crc32c_append(!seed, bytes)
    }
}

/// What every checksum of a file system starts with.
pub(crate) fn filesystem_seed(uuid: &[u8; 16]) -> u32 {
    crc32c(!0, uuid)
}

/// What the checksums of an inode and of its directory and extent blocks start with.
pub(crate) fn inode_seed(filesystem: u32, inode: u32, generation: u32) -> u32 {
    crc32c(
        crc32c(filesystem, &inode.to_le_bytes()),
        &generation.to_le_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_castagnoli_one() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(!crc32c(!0, &[0; 32]), 0x8A91_36AA);
    }
}
