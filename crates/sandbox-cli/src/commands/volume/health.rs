//! What `sandbox doctor` says of volumes.

use sandbox::volume::{VolumeError, default_home};
use serde::Serialize;

use super::fsck::said;
use super::{backend, block_on};
use crate::output::one_line;

/// Whether what is wrong is only said, or mended first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Look,
    Mend,
}

/// The state of the catalog and of what is in it.
#[derive(Debug, Serialize)]
pub(crate) struct VolumesHealth {
    pub(crate) volumes: usize,
    pub(crate) snapshots: usize,
    pub(crate) problems: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) repaired: Vec<String>,
}

/// None where there are no volumes, and never were any: nothing is made by looking.
pub(crate) fn health(wish: Wish) -> Option<VolumesHealth> {
    let home = default_home()?;
    if !home.join("volumes").exists() && !home.join("catalog.db").exists() {
        return None;
    }
    let looked = block_on(async {
        let looked = look(wish).await;
        Ok(looked)
    });
    let error = match looked {
        Ok(Ok(health)) => return Some(health),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    Some(VolumesHealth {
        volumes: 0,
        snapshots: 0,
        problems: vec![one_line(&error)],
        repaired: Vec::new(),
    })
}

async fn look(wish: Wish) -> Result<VolumesHealth, VolumeError> {
    let backend = backend().await?;
    let repaired = match wish {
        Wish::Look => Vec::new(),
        Wish::Mend => said(&backend.repair().await?),
    };
    let health = backend.check().await?;
    let problems = health.problems.iter();
    Ok(VolumesHealth {
        volumes: health.volumes,
        snapshots: health.snapshots,
        problems: problems.map(|problem| one_line(&problem.to_string())).collect(),
        repaired,
    })
}
