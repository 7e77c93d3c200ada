"""A GRU over a whole sequence, for TensorFlow on a CPU: what Keras computes, in fewer and larger steps.

Keras's loop multiplies each time step's inputs by the kernel on its own, and its gradient adds up the kernels' gradients
step by step. Here only what depends on the step before is in a loop, forth and back; the rest is one product over all steps.
"""
import tensorflow as tf


def gru(sequences, kernel, recurrent_kernel, bias, go_backwards=False):
    """The outputs of a GRU that starts at 0, float [B, T, U], of sequences float [B, T, inputs]; T is a fixed number.

    kernel float [inputs, 3U], recurrent_kernel float [U, 3U], bias float [2, 3U], of the inputs and of the state: Keras's,
    with `reset_after`. With `go_backwards` the sequences are read from their end, and the last output is the first's.
    """
    kernel, recurrent_kernel, bias = map(tf.convert_to_tensor, (kernel, recurrent_kernel, bias))
    steps, inputs = sequences.shape[1:]
    sequences = tf.transpose(sequences, (1, 0, 2))
    if go_backwards:
        sequences = tf.reverse(sequences, (0,))
    gates = tf.matmul(tf.reshape(sequences, (-1, inputs)), kernel) + bias[0]
    gates = tf.reshape(gates, (steps, -1, kernel.shape[1]))
    return tf.transpose(recur(gates, recurrent_kernel, bias[1]), (1, 0, 2))


@tf.custom_gradient
def recur(gates, kernel, bias):
    """The states h, float [T, B, U], and the function that takes their gradient back to gates, kernel and bias.

    With the inputs' part of update gate, reset gate and candidate in gates, float [T, B, 3U] = (a, b, c), kernel float
    [U, 3U] = (K, L, M) and bias float [3U] = (k, l, m), a step is (Chung et al., Empirical evaluation of gated recurrent
    neural networks on sequence modeling, 2014, in cuDNN's form)

        z = sigmoid(a + h K + k)    r = sigmoid(b + h L + l)    s = h M + m    n = tanh(c + r s)    h' = z h + (1 - z) n
    """
    steps, units = gates.shape[0], kernel.shape[0]
    start = tf.zeros_like(gates[0, :, :units])

    def forth(t, h, states, updates_resets, candidates, summands):
        of_gates, of_candidate = tf.split(gates[t], (2 * units, units), 1)
        more, s = tf.split(tf.nn.bias_add(tf.matmul(h, kernel), bias), (2 * units, units), 1)
        zr = tf.sigmoid(of_gates + more)
        z, r = tf.split(zr, 2, 1)
        n = tf.tanh(of_candidate + r * s)
        h = n + z * (h - n)
        return (t + 1, h, states.write(t, h), updates_resets.write(t, zr), candidates.write(t, n), summands.write(t, s))

    arrays = [tf.TensorArray(gates.dtype, steps) for _ in range(4)]
    results = tf.while_loop(lambda t, *_: t < steps, forth, (0, start, *arrays))
    h, zr, n, s = (array.stack() for array in results[2:])
    h.set_shape((steps, None, units))

    def gradient(of_h):
        z, r = tf.split(zr, 2, 2)
        before = tf.concat([start[None], h[:-1]], 0)
        to_candidate = (1 - z) * (1 - n * n)  # the slope of h' to c, and those to the three parts of h (K, L, M)
        slopes = tf.concat([(before - n) * z * (1 - z), to_candidate * s * r * (1 - r), to_candidate * r], 2)
        transposed = tf.transpose(kernel)

        def back(t, of_next, array):
            whole = of_h[t] + of_next  # the gradient of the loss to h', by this step's output and by the next step
            of_next = whole * z[t] + tf.matmul(tf.tile(whole, (1, 3)) * slopes[t], transposed)
            return t - 1, of_next, array.write(t, whole)

        array = tf.while_loop(lambda t, *_: t >= 0, back, (steps - 1, start, tf.TensorArray(gates.dtype, steps)))[2]
        whole = array.stack()
        products = tf.tile(whole, (1, 1, 3)) * slopes
        of_gates = tf.concat([products[:, :, :2 * units], whole * to_candidate], 2)
        flat = tf.reshape(products, (-1, 3 * units))
        of_kernel = tf.matmul(tf.reshape(before, (-1, units)), flat, transpose_a=True)
        return of_gates, of_kernel, tf.reduce_sum(flat, 0)

    return h, gradient
