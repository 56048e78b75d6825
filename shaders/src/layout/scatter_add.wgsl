// Sum of rows by index, the gradient of a gather:  dtable[r, c] = sum over i with indices[i] = r of dy[i, c], in the
// order of i; indices past the table are left out. No float atomics: each output has one owner.
//
// Two ways, chosen by the device:
// * scan: a workgroup owns a table row (and WORKGROUP columns of it). Its lanes test WORKGROUP indices at a time, mark
//   the matches in a bit mask, and each lane adds its column of the marked rows. Reads every index once for each table
//   row: rows * count / WORKGROUP loads by each lane, coalesced.
// * order, then sum: one invocation sorts the positions by index (a counting sort, rows + 3 count steps), then each
//   invocation adds its column of its row's positions. For drivers where barriers are dear and one invocation is fast.
//
// The entry points that end in _vec4 count columns in groups of four.

struct Uniform {
    rows: u32,
    columns: u32,
    count: u32,
}

@group(0) @binding(0) var<storage, read> indices: array<u32>;             // (count)

// scan
@group(0) @binding(1) var<storage, read> dy: array<f32>;                  // (count, columns)
@group(0) @binding(2) var<storage, read_write> dtable: array<f32>;        // (rows, columns)
@group(0) @binding(1) var<storage, read> dy4: array<vec4<f32>>;           // (count, columns)
@group(0) @binding(2) var<storage, read_write> dtable4: array<vec4<f32>>; // (rows, columns)

// order
@group(0) @binding(1) var<storage, read_write> positions: array<u32>;     // (count), by index, then zeros
@group(0) @binding(2) var<storage, read_write> ends: array<u32>;          // (rows): one past each row's last position

// sum
@group(0) @binding(0) var<storage, read> sorted: array<u32>;              // (count), positions
@group(0) @binding(1) var<storage, read> row_ends: array<u32>;            // (rows), ends
@group(0) @binding(2) var<storage, read> dz: array<f32>;                  // (count, columns)
@group(0) @binding(3) var<storage, read_write> dsum: array<f32>;          // (rows, columns)
@group(0) @binding(2) var<storage, read> dz4: array<vec4<f32>>;           // (count, columns)
@group(0) @binding(3) var<storage, read_write> dsum4: array<vec4<f32>>;   // (rows, columns)

@group(1) @binding(0) var<uniform> size: Uniform;

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
    if i < size.count && indices[min(i, size.count - 1u)] == row {
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
    let blocks = (size.columns + WORKGROUP - 1u) / WORKGROUP;
    let row = flat / blocks;
    let column = flat % blocks * WORKGROUP + local;
    var total = 0.0;
    for (var start = 0u; start < size.count; start += WORKGROUP) {
        mark(start, row, local);
        for (var word = 0u; word < WORKGROUP / 32u; word++) {
            var bits = atomicLoad(&marked[word]);
            while bits != 0u {
                let i = start + word * 32u + firstTrailingBit(bits);
                if column < size.columns {
                    total += dy[i * size.columns + column];
                }
                bits &= bits - 1u;
            }
        }
    }
    if row < size.rows && column < size.columns {
        dtable[row * size.columns + column] = total;
    }
}

@compute @workgroup_size(WORKGROUP)
fn scan_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = workgroup.x + workgroup.y * workgroups.x;
    let blocks = (size.columns + WORKGROUP - 1u) / WORKGROUP;
    let row = flat / blocks;
    let column = flat % blocks * WORKGROUP + local;
    var total = vec4(0.0);
    for (var start = 0u; start < size.count; start += WORKGROUP) {
        mark(start, row, local);
        for (var word = 0u; word < WORKGROUP / 32u; word++) {
            var bits = atomicLoad(&marked[word]);
            while bits != 0u {
                let i = start + word * 32u + firstTrailingBit(bits);
                if column < size.columns {
                    total += dy4[i * size.columns + column];
                }
                bits &= bits - 1u;
            }
        }
    }
    if row < size.rows && column < size.columns {
        dtable4[row * size.columns + column] = total;
    }
}

// Sorts the positions 0 .. count by their index, equal ones in order. One invocation: see above.
@compute @workgroup_size(1)
fn order() {
    for (var row = 0u; row < size.rows; row++) {
        ends[row] = 0u;
    }
    for (var i = 0u; i < size.count; i++) {
        if indices[i] < size.rows {
            ends[indices[i]] += 1u;
        }
    }
    // Each row's count becomes the place of its first position.
    var first = 0u;
    for (var row = 0u; row < size.rows; row++) {
        let count = ends[row];
        ends[row] = first;
        first += count;
    }
    for (var i = 0u; i < size.count; i++) {
        let row = indices[i];
        if row < size.rows {
            let place = ends[row];
            positions[place] = i;
            ends[row] = place + 1u;
        }
    }
    for (var place = first; place < size.count; place++) {
        positions[place] = 0u;
    }
}

@compute @workgroup_size(WORKGROUP)
fn sum(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if flat >= size.rows * size.columns {
        return;
    }
    let row = flat / size.columns;
    var total = 0.0;
    let end = row_ends[row];
    for (var place = select(0u, row_ends[max(row, 1u) - 1u], row > 0u); place < end; place++) {
        total += dz[sorted[place] * size.columns + flat % size.columns];
    }
    dsum[flat] = total;
}

@compute @workgroup_size(WORKGROUP)
fn sum_vec4(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let flat = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP + local;
    if flat >= size.rows * size.columns {
        return;
    }
    let row = flat / size.columns;
    var total = vec4(0.0);
    let end = row_ends[row];
    for (var place = select(0u, row_ends[max(row, 1u) - 1u], row > 0u); place < end; place++) {
        total += dz4[sorted[place] * size.columns + flat % size.columns];
    }
    dsum4[flat] = total;
}
