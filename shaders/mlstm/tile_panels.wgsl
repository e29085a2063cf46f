// The panels of mlstm/tiles.wgsl: fetched into registers while the ones before are multiplied, then put into workgroup memory.
// Loads have no conditions: what does not exist is read from the last place that does, and put away as 0. A load with a condition
// of its own is waited for before the next one starts.

fn fetch_row_panel(lane: u32, first_row: u32, depth: u32) -> vec4<f32> {
    let at = depth + lane % DEPTH;
    let place = min(at, depth_size() - 1u);
    var values = vec4<f32>(0.0);
    for (var part = 0u; part < 4u; part++) {  // unrolled
        let row = first_row + lane / DEPTH * 4u + part;
        let t = first + min(row, count - 1u);
        let loaded = row_operand(row_start(cell, t, depth_size()) + place, cell, t);
        values[part] = select(0.0, loaded, (at < depth_size()) & (row < count));
    }
    return values;
}

fn put_row_panel(lane: u32, values: vec4<f32>) {
    wide_panel[lane % DEPTH * PAD + lane / DEPTH] = values;
}

fn fetch_column_panel(lane: u32, first_column: u32, depth: u32) -> vec2<f32> {
    let at = depth + lane % DEPTH;
    let place = min(at, depth_size() - 1u);
    var values = vec2<f32>(0.0);
    for (var part = 0u; part < 2u; part++) {  // unrolled
        let column = first_column + lane / DEPTH + part * 16u;
        let t = first + min(column, count - 1u);
        let loaded = column_operand(row_start(cell, t, depth_size()) + place, cell, t);
        values[part] = select(0.0, loaded, (at < depth_size()) & (column < count));
    }
    return values;
}

fn put_column_panel(lane: u32, values: vec2<f32>) {
    narrow_panel[lane % DEPTH * 33u + lane / DEPTH] = values.x;
    narrow_panel[lane % DEPTH * 33u + lane / DEPTH + 16u] = values.y;
}

fn fetch_summed_panel(lane: u32, first_column: u32, first_width: u32) -> vec4<f32> {
    let column = first_column + lane / 16u;
    let t = first + min(column, count - 1u);
    var values = vec4<f32>(0.0);
    for (var part = 0u; part < 4u; part++) {  // unrolled
        let at = first_width + lane % 16u * 4u + part;
        let loaded = summed_operand(row_start(cell, t, width_size()) + min(at, width_size() - 1u), cell, t);
        values[part] = select(0.0, loaded, (at < width_size()) & (column < count));
    }
    return values;
}

fn put_summed_panel(lane: u32, block: u32, values: vec4<f32>) {
    wide_panel[lane / 16u * WIDE_PAD + block * 16u + lane % 16u] = values;
}

// Which vector of a panel of the state an invocation loads: its place along the depth, and along the width. Neighbours read
// neighbouring elements, along the depth where the state is read transposed.
fn state_vector(lane: u32) -> vec2<u32> {
    return select(vec2<u32>(lane / 16u, lane % 16u), vec2<u32>(lane % 16u, lane / 16u), STATE_TRANSPOSED);
}

fn fetch_state_panel(lane: u32, depth: u32, first_width: u32) -> vec4<f32> {
    let memory = memory_start(state_slot(chunk), cell);
    let vector = state_vector(lane);
    let row = min(depth + vector.x, depth_size() - 1u);
    var values = vec4<f32>(0.0);
    for (var part = 0u; part < 4u; part++) {  // unrolled
        let width = first_width + vector.y * 4u + part;
        let column = min(width, width_size() - 1u);
        let place = select(row * parameters.v_dim + column, column * parameters.v_dim + row, STATE_TRANSPOSED);
        values[part] = select(0.0, states[memory + place], (depth + vector.x < depth_size()) & (width < width_size()));
    }
    return values;
}

fn put_state_panel(lane: u32, block: u32, values: vec4<f32>) {
    let vector = state_vector(lane);
    scores[vector.x * WIDE_PAD + block * 16u + vector.y] = values;
}

// n in the rows of a panel of the state.
fn fetch_normalizer(lane: u32, depth: u32) -> f32 {
    let at = depth + lane % DEPTH;
    let loaded = states[normalizer_start(state_slot(chunk), cell) + min(at, depth_size() - 1u)];
    return select(0.0, loaded, at < depth_size());
}
