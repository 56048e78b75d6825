// Each invocation holds the tables of its member in registers (or near: what a software driver puts on its stack), and
// draws weights only to make them. Slots lie in a row.
//
// An array stays in registers if every index is a constant, so that the tables go in at the end of a row that moves up:
// 32 to a block, and then the blocks.

const TABLE_BLOCKS = (TABLES + 31u) / 32u;

var<private> blocks: array<array<vec4<f32>, 32>, TABLE_BLOCKS>;

fn prepare(needed: bool, local: u32) {
    if needed {
        for (var block = 0u; block < TABLE_BLOCKS; block++) {
            var row: array<vec4<f32>, 32>;
            for (var i = 0u; i < 32u; i++) {
                let last = policy_table(min(32u * block + i, TABLES - 1u));
                let before = row;
                for (var k = 0u; k < 32u; k++) {
                    row[k] = before[(k + 1u) % 32u];
                }
                row[31] = last;
            }
            let before = blocks;
            for (var k = 0u; k < TABLE_BLOCKS; k++) {
                blocks[k] = before[(k + 1u) % TABLE_BLOCKS];
            }
            blocks[TABLE_BLOCKS - 1u] = row;
        }
    }
}

fn table(i: u32) -> vec4<f32> {
    return blocks[i / 32u][i % 32u];
}
