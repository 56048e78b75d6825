// Sorts the positions 0 .. count by their index, equal ones in order: a counting sort, the first half of a sum of rows by
// index, see scatter_add.wgsl. Indices past the table are left out.
//
// Two ways, chosen by the device:
// * order: a workgroup sorts SORTERS rows. Its invocations count the indices of each row, in any order, and a scan makes
//   places of the counts. Then, of each lot of SORTERS indices, each invocation marks its own and finds its place by
//   counting the marks of its row before it. Reads every index twice for each SORTERS rows.
// * order_alone: an invocation sorts ROWS_OF_ONE rows, in rows + 2 count steps. For drivers where barriers are dear and
//   one invocation is fast.

struct Uniform {
    rows: u32,
    count: u32,
}

@group(0) @binding(0) var<storage, read> indices: array<u32>;             // (count)
@group(0) @binding(1) var<storage, read_write> positions: array<u32>;     // (count), by index, then zeros
@group(0) @binding(2) var<storage, read_write> ends: array<u32>;          // (rows): one past each row's last position

@group(1) @binding(0) var<uniform> params: Uniform;

// Invocations of a workgroup of `order`: it sorts the positions of as many rows, and takes as many indices at a time.
const SORTERS = 256u;

// For each row a bit for each of the present indices, 32 to a word; zeros between two lots of indices.
var<workgroup> holders: array<atomic<u32>, 8u * SORTERS>;
// For each row the number of its indices, then the place of its next position.
var<workgroup> places: array<atomic<u32>, SORTERS>;
var<workgroup> scanned: array<u32, SORTERS>;
// Indices of the rows before those of this workgroup.
var<workgroup> before: atomic<u32>;

// The row of index i among those of a workgroup; 0xFFFFFFFF if it is none of them, 0xFFFFFFFE if it is before them.
fn own_row(i: u32, begin: u32, end: u32) -> u32 {
    if i < params.count {
        let row = indices[i];
        return select(select(0xFFFFFFFFu, 0xFFFFFFFEu, row < begin), row - begin, row >= begin && row < end);
    }
    return 0xFFFFFFFFu;
}

@compute @workgroup_size(SORTERS)
fn order(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let begin = (workgroup.x + workgroup.y * workgroups.x) * SORTERS;
    let end = min(begin + SORTERS, params.rows);
    for (var word = 0u; word < 8u; word++) {
        atomicStore(&holders[word * SORTERS + local], 0u);
    }
    atomicStore(&places[local], 0u);
    if local == 0u {
        atomicStore(&before, 0u);
    }
    workgroupBarrier();
    var less = 0u;
    for (var i = local; i < params.count; i += SORTERS) {
        let row = own_row(i, begin, end);
        if row < SORTERS {
            atomicAdd(&places[row], 1u);
        }
        less += select(0u, 1u, row == 0xFFFFFFFEu);
    }
    atomicAdd(&before, less);
    workgroupBarrier();

    // The sum of the counts up to each row's own.
    let count = atomicLoad(&places[local]);
    var last = count;
    for (var step = 1u; step < SORTERS; step *= 2u) {
        scanned[local] = last;
        workgroupBarrier();
        last += select(0u, scanned[max(local, step) - step], local >= step);
        workgroupBarrier();
    }
    last += atomicLoad(&before);
    atomicStore(&places[local], last - count);
    if begin + local < end {
        ends[begin + local] = last;
    }
    // The last workgroup clears the places of indices past the table.
    scanned[local] = last;
    workgroupBarrier();
    if begin < params.rows && end == params.rows {
        for (var place = scanned[SORTERS - 1u] + local; place < params.count; place += SORTERS) {
            positions[place] = 0u;
        }
    }

    let word = local / 32u;
    for (var start = 0u; start < params.count; start += SORTERS) {
        let row = own_row(start + local, begin, end);
        if row < SORTERS {
            atomicOr(&holders[word * SORTERS + row], 1u << (local % 32u));
        }
        workgroupBarrier();
        var rank = 0u;
        var of_row = 0u;
        if row < SORTERS {
            for (var other = 0u; other < 8u; other++) {
                let bits = atomicLoad(&holders[other * SORTERS + row]);
                let below = select(select(0u, 0xFFFFFFFFu, other < word), (1u << (local % 32u)) - 1u, other == word);
                rank += countOneBits(bits & below);
                of_row += countOneBits(bits);
            }
            // Within the positions, whatever the counts were.
            positions[min(atomicLoad(&places[row]) + rank, params.count - 1u)] = start + local;
        }
        workgroupBarrier();
        // The first of each row ends the lot.
        if row < SORTERS && rank == 0u {
            atomicAdd(&places[row], of_row);
            for (var other = 0u; other < 8u; other++) {
                atomicStore(&holders[other * SORTERS + row], 0u);
            }
        }
        workgroupBarrier();
    }
}

// Rows that one invocation of `order_alone` sorts the positions of.
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

// The same by one invocation for ROWS_OF_ONE rows, which goes through the indices eight at a time: a software driver
// leaves all loops of an invocation after 65,535 passes.
@compute @workgroup_size(1)
fn order_alone(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
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
