//! Lines of the kernel's ring buffer, as `dmesg` and `/dev/kmsg` show them: `[12345.678901] message`.

use model::ecs;

use super::{Format, Input};
use crate::draft::Draft;
use crate::programs::kernel;

pub(crate) const FORMAT: Format = Format {
    name: "kernel",
    aliases: &["dmesg", "kern"],
    datasets: &["system.kernel"],
    programs: &[],
    begins: &["["],
    looks: |text| kernel::after_clock(text).is_some(),
    take,
};

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let message = match kernel::after_clock(input.text) {
        Some(message) => message,
        None if input.is_certain || input.program == "kernel" => input.text,
        None => return false,
    };
    draft.set_fixed(ecs::PROCESS_NAME, "kernel");
    draft.set_default_fixed(ecs::HOST_OS_TYPE, "linux");
    draft.set_text(ecs::MESSAGE, message);
    kernel::take(draft, message);
    true
}
