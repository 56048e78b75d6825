// A linear policy:  action[a] = bias[a] + sum over i of W[a, i] * inputs[i].  Weights: W (ACTIONS, INPUTS), bias (ACTIONS).

fn policy_act(memory: ptr<function, array<f32, MEMORY>>, inputs: array<f32, INPUTS>) -> array<f32, ACTIONS> {
    var action: array<f32, ACTIONS>;
    for (var a = 0u; a < ACTIONS; a++) {
        var sum = weight(ACTIONS * INPUTS + a);
        for (var i = 0u; i < INPUTS; i++) {
            sum += weight(a * INPUTS + i) * inputs[i];
        }
        action[a] = sum;
    }
    return action;
}
