//! The loop of a pipeline in which most multiply-adds stand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A loop without another inside it that multiplies and adds: the share of multiply-adds among its instructions bounds the share of a GPU's peak that it can
/// reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotLoop {
    /// Instructions of all kinds; the two halves of one that issues two count as two.
    pub instructions: u32,
    /// Instructions that multiply and add in 32-bit floating point.
    pub multiply_adds: u32,
}

/// The instructions that multiply and add, by the beginnings of their names in the manuals of GCN and RDNA.
const MULTIPLY_ADDS: [&str; 6] = ["v_fma_f32", "v_fmac_f32", "v_fmaak_f32", "v_fmamk_f32", "v_mac_f32", "v_mad_f32"];

impl HotLoop {
    /// Finds the innermost loop with the most multiply-adds in an AMD GPU's assembly, as Mesa prints it: labels `BB7:`,
    /// an instruction a line, and after it its code in hexadecimal.
    pub fn find(assembly: &str) -> Option<Self> {
        let mut labels = BTreeMap::new();
        let mut instructions: Vec<&str> = Vec::new();
        for line in assembly.lines().map(|line| line.split(';').next().unwrap_or_default().trim()) {
            if let Some(label) = line.strip_suffix(':') {
                labels.insert(label, instructions.len());
            } else if line.starts_with(|first: char| first.is_ascii_lowercase()) {
                instructions.push(line);
            }
        }
        // A branch to an earlier label closes a loop.
        let loops: Vec<(usize, usize)> = instructions
            .iter()
            .enumerate()
            .filter(|(_, text)| text.starts_with("s_branch") || text.starts_with("s_cbranch"))
            .filter_map(|(last, text)| Some((*labels.get(text.split_whitespace().nth(1)?)?, last)))
            .filter(|(first, last)| first <= last)
            .collect();
        let counted = |&(first, last): &(usize, usize)| {
            let names = instructions[first..=last].iter().flat_map(|text| text.split("::")).map(str::trim_start);
            let names: Vec<String> = names.map(|text| text.replacen("v_dual_", "v_", 1)).collect();
            let multiplies = |name: &&String| MULTIPLY_ADDS.iter().any(|kind| name.starts_with(kind));
            let multiply_adds = names.iter().filter(multiplies).count() as u32;
            Self { instructions: names.len() as u32, multiply_adds }
        };
        let counts: Vec<((usize, usize), Self)> = loops.iter().map(|each| (*each, counted(each))).collect();
        // Two branches may close one loop: the later one does. A loop within it counts if it multiplies and adds.
        let innermost = counts.iter().filter(|((first, last), _)| {
            let inside = |other: &(usize, usize)| other.0 > *first && other.1 < *last;
            let longer = |other: &(usize, usize)| other.0 == *first && other.1 > *last;
            !counts.iter().any(|(other, count)| (inside(other) && count.multiply_adds > 0) || longer(other))
        });
        let innermost = innermost.map(|(_, count)| *count);
        innermost.filter(|count| count.multiply_adds > 0).max_by_key(|count| count.multiply_adds)
    }

    /// Returns the share of multiply-adds among the instructions, from 0 to 1.
    pub fn share(&self) -> f64 {
        f64::from(self.multiply_adds) / f64::from(self.instructions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_loop_with_most_multiply_adds_is_found() {
        let assembly = "BB0:
\ts_mov_b32 s0, 0                       ; be800380
BB1:
\tv_mul_f32_e32 v0, v0, v1              ; 10000300
BB2:
\tv_fmac_f32_e32 v0, v1, v2             ; 56000501
\tv_fma_f32 v3, v1, v2, v3              ; d54b0003 040e0501
\ts_add_i32 s0, s0, 1                   ; 81008100
\ts_cbranch_scc1 BB2                    ; bf85fffb
\ts_cbranch_scc1 BB1                    ; bf85fff9
BB3:
\tv_fmac_f32_e32 v0, v1, v2             ; 56000501
\ts_branch BB3                          ; bf82fffe
\ts_endpgm                              ; bf810000
";
        assert_eq!(HotLoop::find(assembly), Some(HotLoop { instructions: 4, multiply_adds: 2 }));
    }

    #[test]
    fn an_instruction_that_issues_two_counts_twice() {
        let assembly =
            "BB1:\n\tv_dual_fmac_f32 v0, v1, v2 :: v_dual_fmac_f32 v3, v4, v5 ; c\n\ts_cbranch_scc1 BB1 ; b\n";
        assert_eq!(HotLoop::find(assembly), Some(HotLoop { instructions: 3, multiply_adds: 2 }));
    }

    #[test]
    fn code_without_loops_has_none() {
        assert_eq!(HotLoop::find("BB0:\n\tv_fmac_f32_e32 v0, v1, v2\n\ts_endpgm\n"), None);
    }
}
