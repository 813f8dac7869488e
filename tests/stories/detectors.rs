//! Two detectors share the partitions; when one dies, the other does all of the work.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use tests::system::{Options, System};
use tests::until::until;

use super::numbered::Numbered;

#[tokio::test]
async fn two_detectors_share_the_work_and_one_takes_over() -> anyhow::Result<()> {
    let args = ["--nodes", "collector=2,detector=2"].map(str::to_owned).to_vec();
    let mut system = System::start(Options {
        args,
        ..Options::default()
    })
    .await?;
    let store = system.store().await?;
    until("both hold partitions", Duration::from_secs(30), async || {
        let owners = storage::leases::owners(&store).await?;
        let names: BTreeSet<_> = owners.values().map(|(owner, _)| owner.to_string()).collect();
        ensure!(
            owners.len() == usize::from(model::PARTITIONS),
            "{} partitions have an owner",
            owners.len()
        );
        ensure!(names.len() == 2, "owners are {names:?}");
        Ok(Some(()))
    })
    .await?;

    let mut lines = Numbered::new(&system.try_file());
    lines.write_steadily(2_000).await?;
    let (killed, written) = tokio::join!(system.kill_and_wait("detector-2"), lines.write_steadily(4_000));
    killed?;
    written?;
    system.kill("collector-2")?;
    lines.write_steadily(6_000).await?;
    lines.all_arrived_once(&system).await?;
    system.stop().await
}
