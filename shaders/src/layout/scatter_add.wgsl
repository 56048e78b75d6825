// Sum of rows by index, the gradient of a gather:  dtable[r, c] = sum over i with indices[i] = r of dy[i, c], in the
// order of i; indices past the table are left out. No float atomics: each output has one owner.
//
// Two ways, chosen by device and size:
// * scan: a workgroup owns a table row (and WORKGROUP columns of it). Its lanes test WORKGROUP indices at a time, mark
//   the matches in a bit mask, and each lane adds its column of the marked rows. Reads every index once for each table
//   row: rows * count / WORKGROUP loads by each lane, coalesced.
// * scatter_order.wgsl sorts the positions by row, then each invocation of `sum` adds its column of its row's positions.
//
// Columns count in loads. Takes `Load` from library/loads_of_one.wgsl or library/loads_of_four.wgsl.

struct Uniform {
    rows: u32,
    columns: u32,
    count: u32,
}

// scan
@group(0) @binding(0) var<storage, read> indices: array<u32>;             // (count)
@group(0) @binding(1) var<storage, read> dy: array<Load>;                 // (count, columns)
@group(0) @binding(2) var<storage, read_write> dtable: array<Load>;       // (rows, columns)

// sum
@group(0) @binding(0) var<storage, read> sorted: array<u32>;              // (count), positions by row
@group(0) @binding(1) var<storage, read> row_ends: array<u32>;            // (rows): one past each row's last position
@group(0) @binding(2) var<storage, read> dz: array<Load>;                 // (count, columns)
@group(0) @binding(3) var<storage, read_write> dsum: array<Load>;         // (rows, columns)

@group(1) @binding(0) var<uniform> params: Uniform;

override WORKGROUP: u32 = 64u;

var<workgroup> marked: array<atomic<u32>, 8>;  // a bit for each of at most 256 indices

// Marks which of the next WORKGROUP indices are the row.
fn mark(start: u32, row: u32, local: u32) {
    workgroupBarrier();
    if local < 8u {
        atomicStore(&marked[local], 0u);
    }
    workgroupBarrier();
    let i = start + local;
    if i < params.count && indices[min(i, params.count - 1u)] == row {
        atomicOr(&marked[local / 32u], 1u << (local % 32u));
    }
    workgroupBarrier();
}

@compute @workgroup_size(WORKGROUP)
fn scan(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = workgroup.x + workgroup.y * workgroups.x;
    let blocks = (params.columns + WORKGROUP - 1u) / WORKGROUP;
    let row = flat / blocks;
    let column = flat % blocks * WORKGROUP + local;
    var total = Load();
    for (var start = 0u; start < params.count; start += WORKGROUP) {
        mark(start, row, local);
        for (var word = 0u; word < WORKGROUP / 32u; word++) {
            var bits = atomicLoad(&marked[word]);
            while bits != 0u {
                let i = start + word * 32u + firstTrailingBit(bits);
                if column < params.columns {
                    total += dy[i * params.columns + column];
                }
                bits &= bits - 1u;
            }
        }
    }
    if row < params.rows && column < params.columns {
        dtable[row * params.columns + column] = total;
    }
}

// Terms of a sum that one pass of its loop adds: more than 1 where there are too many for a software driver.
override TERMS: u32 = 1u;

fn with_term(total: Load, place: u32, end: u32, column: u32) -> Load {
    if place >= end {
        return total;
    }
    // Within the rows, whatever the positions say.
    return total + dz[min(sorted[place], params.count - 1u) * params.columns + column];
}

@compute @workgroup_size(WORKGROUP)
fn sum(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if flat >= params.rows * params.columns {
        return;
    }
    let row = flat / params.columns;
    var total = Load();
    let end = min(row_ends[row], params.count);
    let column = flat % params.columns;
    for (var place = select(0u, row_ends[max(row, 1u) - 1u], row > 0u); place < end; place += TERMS) {
        total = with_term(total, place, end, column);
        if TERMS == 8u {
            total = with_term(total, place + 1u, end, column);
            total = with_term(total, place + 2u, end, column);
            total = with_term(total, place + 3u, end, column);
            total = with_term(total, place + 4u, end, column);
            total = with_term(total, place + 5u, end, column);
            total = with_term(total, place + 6u, end, column);
            total = with_term(total, place + 7u, end, column);
        }
    }
    dsum[flat] = total;
}
