// The store of a software driver's products. Takes `params`, `bias` and `out` from product.wgsl, and `activate` from
// library/activation.wgsl.

// Stores an element of a product. No branch on the uniform block alone: one software driver compiles a kernel anew, at
// every dispatch, for the values that its branches and loops depend on.
fn store_element(product: u32, row: u32, column: u32, sum: f32) {
    let biased = params.bias != 0u;
    let at = select(0u, select(row, column, params.bias == 1u), biased);
    let out_start = product * params.m * params.n;
    let y = sum + select(0.0, bias[at], biased);
    out[out_start + row * params.out_row + column * params.out_column] = activate(y);
}

