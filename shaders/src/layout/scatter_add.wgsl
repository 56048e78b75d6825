// Sum of rows by index, the gradient of a gather:  dtable[r, c] = sum over i with indices[i] = r of dy[i, c], in the
// order of i; indices past the table are left out. No float atomics: each output has one owner.
//
// Two ways, chosen by the device:
// * scan: a workgroup owns a table row (and WORKGROUP columns of it). Its lanes test WORKGROUP indices at a time, mark
//   the matches in a bit mask, and each lane adds its column of the marked rows. Reads every index once for each table
//   row: rows * count / WORKGROUP loads by each lane, coalesced.
// * order, then sum: an invocation sorts the positions of some rows (a counting sort of rows + 2 count steps), then each
//   invocation adds its column of its row's positions. For drivers where barriers are dear and one invocation is fast.
//
// Columns count in loads. Takes `Load` from library/loads_of_one.wgsl or library/loads_of_four.wgsl.

struct Uniform {
    rows: u32,
    columns: u32,
    count: u32,
}

@group(0) @binding(0) var<storage, read> indices: array<u32>;             // (count)

// scan
@group(0) @binding(1) var<storage, read> dy: array<Load>;                 // (count, columns)
@group(0) @binding(2) var<storage, read_write> dtable: array<Load>;       // (rows, columns)

// order
@group(0) @binding(1) var<storage, read_write> positions: array<u32>;     // (count), by index, then zeros
@group(0) @binding(2) var<storage, read_write> ends: array<u32>;          // (rows): one past each row's last position

// sum
@group(0) @binding(0) var<storage, read> sorted: array<u32>;              // (count), positions
@group(0) @binding(1) var<storage, read> row_ends: array<u32>;            // (rows), ends
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

// Rows that one invocation of `order` sorts the positions of.
const ROWS_OF_ONE = 4096u;

// Counts an index of the rows first .. last; returns 1 where it is one before them.
fn tally(i: u32, first: u32, last: u32) -> u32 {
    if i >= params.count {
        return 0u;
    }
    let row = indices[i];
    if row >= first && row < last {
        ends[row] += 1u;
    }
    return select(0u, 1u, row < first);
}

// Puts the position of an index of the rows first .. last to its place.
fn put(i: u32, first: u32, last: u32) {
    if i < params.count {
        let row = indices[i];
        if row >= first && row < last {
            let place = ends[row];
            positions[place] = i;
            ends[row] = place + 1u;
        }
    }
}

fn clear(place: u32) {
    if place < params.count {
        positions[place] = 0u;
    }
}

// Sorts the positions 0 .. count by their index, equal ones in order. One invocation for ROWS_OF_ONE rows, which goes
// through the indices eight at a time: a software driver leaves all loops of an invocation after 65,535 passes.
@compute @workgroup_size(1)
fn order(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let begin = (workgroup.x + workgroup.y * workgroups.x) * ROWS_OF_ONE;
    let end = min(begin + ROWS_OF_ONE, params.rows);
    for (var row = begin; row < end; row++) {
        ends[row] = 0u;
    }
    var first = 0u;
    for (var i = 0u; i < params.count; i += 8u) {
        first += tally(i, begin, end) + tally(i + 1u, begin, end) + tally(i + 2u, begin, end) + tally(i + 3u, begin, end);
        first += tally(i + 4u, begin, end) + tally(i + 5u, begin, end) + tally(i + 6u, begin, end) + tally(i + 7u, begin, end);
    }
    // Each row's count becomes the place of its first position.
    for (var row = begin; row < end; row++) {
        let count = ends[row];
        ends[row] = first;
        first += count;
    }
    for (var i = 0u; i < params.count; i += 8u) {
        put(i, begin, end);
        put(i + 1u, begin, end);
        put(i + 2u, begin, end);
        put(i + 3u, begin, end);
        put(i + 4u, begin, end);
        put(i + 5u, begin, end);
        put(i + 6u, begin, end);
        put(i + 7u, begin, end);
    }
    // The last one clears the places of indices past the table.
    if end == params.rows {
        for (var place = first; place < params.count; place += 8u) {
            clear(place);
            clear(place + 1u);
            clear(place + 2u);
            clear(place + 3u);
            clear(place + 4u);
            clear(place + 5u);
            clear(place + 6u);
            clear(place + 7u);
        }
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
