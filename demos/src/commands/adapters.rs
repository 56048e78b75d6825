//! `fourfold adapters`: the adapters, with the features and limits that matter here.

use clap::Args;
use fourfold::gpu::{AdapterReport, adapters};
use fourfold::wgpu::Features;
use serde_json::{Value, json};

use crate::adapter::{adapter_json, is_software};
use crate::entry::Plain;
use crate::failure::Failure;
use crate::guide::ending;
use crate::options::Common;
use crate::table::table;

/// List the adapters, with the features and limits that matter here
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Plain for Arguments {
    const NAME: &'static str = "adapters";
    const COMMON: &'static [&'static str] = &["adapter"];

    fn run(&self, common: &Common) -> Result<(), Failure> {
        run(common, self)
    }
}

/// Features that a kernel, the profiler or a coming kernel can use.
const FEATURES: [(&str, Features); 5] = [
    ("subgroups", Features::SUBGROUP),
    ("f16", Features::SHADER_F16),
    ("timestamps", Features::TIMESTAMP_QUERY),
    ("timestamps inside passes", Features::TIMESTAMP_QUERY_INSIDE_PASSES),
    ("immediates", Features::IMMEDIATES),
];

/// Lists the adapters; with `--adapter`, those of that name or number.
///
/// # Errors
/// If `--adapter` names none of the adapters.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let all = adapters();
    let asked = |report: &&AdapterReport| common.adapter.as_ref().is_none_or(|asked| matches(report, asked));
    let chosen: Vec<&AdapterReport> = all.iter().filter(asked).collect();
    if chosen.is_empty() {
        // Opening says what is missing and what to do about it.
        common.open_untuned(false)?;
    }
    if arguments.json {
        let list: Vec<Value> = chosen.iter().map(|report| json(report)).collect();
        crate::show!("{:#}", Value::from(list));
    } else {
        for report in chosen {
            crate::show!("{}", text(report));
        }
        crate::show!("{}", ending(Arguments::NAME, None, None));
    }
    Ok(())
}

fn matches(report: &AdapterReport, asked: &str) -> bool {
    asked.parse() == Ok(report.index) || report.info.name.to_lowercase().contains(&asked.to_lowercase())
}

fn text(report: &AdapterReport) -> String {
    let info = &report.info;
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, value: String| rows.push([name.to_owned(), value]);
    row("backend", info.backend.to_string());
    let software = if is_software(info) { ": a software driver, no GPU" } else { "" };
    row("type", format!("{:?}{software}", info.device_type));
    row("driver", format!("{} {}", info.driver, info.driver_info).trim().to_owned());
    for (name, feature) in FEATURES {
        let has = report.features.contains(feature);
        let lanes = format!("{} to {} lanes", info.subgroup_min_size, info.subgroup_max_size);
        let value = match (has, feature) {
            (true, Features::SUBGROUP) => lanes,
            (true, Features::IMMEDIATES) => format!("{} bytes", report.limits.max_immediate_size),
            (true, _) => "yes".to_owned(),
            (false, _) => "no".to_owned(),
        };
        row(name, value);
    }
    let limits = &report.limits;
    row("largest buffer", bytes(limits.max_buffer_size));
    row("largest storage binding", bytes(limits.max_storage_buffer_binding_size));
    row("workgroup memory", bytes(limits.max_compute_workgroup_storage_size.into()));
    row("invocations in a workgroup", limits.max_compute_invocations_per_workgroup.to_string());
    row("workgroups in a dimension", limits.max_compute_workgroups_per_dimension.to_string());
    row("storage buffers in a shader", limits.max_storage_buffers_per_shader_stage.to_string());
    row("storage offset alignment", bytes(limits.min_storage_buffer_offset_alignment.into()));
    table([&format!("{}: {}", report.index, info.name), ""], rows)
}

fn json(report: &AdapterReport) -> Value {
    let limits = &report.limits;
    let features: serde_json::Map<String, Value> = FEATURES
        .iter()
        .map(|(name, feature)| ((*name).to_owned(), report.features.contains(*feature).into()))
        .collect();
    json!({
        "index": report.index,
        "adapter": adapter_json(&report.info),
        "features": features,
        "subgroup_size": [report.info.subgroup_min_size, report.info.subgroup_max_size],
        "limits": {
            "max_buffer_size": limits.max_buffer_size,
            "max_storage_buffer_binding_size": limits.max_storage_buffer_binding_size,
            "max_compute_workgroup_storage_size": limits.max_compute_workgroup_storage_size,
            "max_compute_invocations_per_workgroup": limits.max_compute_invocations_per_workgroup,
            "max_compute_workgroups_per_dimension": limits.max_compute_workgroups_per_dimension,
            "max_storage_buffers_per_shader_stage": limits.max_storage_buffers_per_shader_stage,
            "min_storage_buffer_offset_alignment": limits.min_storage_buffer_offset_alignment,
            "max_immediate_size": limits.max_immediate_size,
        },
    })
}

/// A number of bytes in the largest binary unit that leaves it at least 1.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = (count.max(1).ilog2() / 10).min(4);
    let value = count as f64 / 1024f64.powi(unit as i32);
    // Limits are often a byte short of a power of two, which one digit rounds to the power.
    let text = format!("{value:.1}");
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), UNITS[unit as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_largest_unit() {
        assert_eq!(bytes(256), "256 bytes");
        assert_eq!(bytes(16 << 10), "16 KiB");
        assert_eq!(bytes(128 << 20), "128 MiB");
        assert_eq!(bytes(u64::from(u32::MAX) / 2), "2 GiB");
    }
}
