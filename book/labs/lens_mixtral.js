/* Mixtral (Jiang et al. 2024) for lens.js: a Hugging Face configuration and state dict in the terms of TransformerLens.
   The architecture is Llama's, with a mixture of experts in the place of every MLP. */

// Fields of a MixtralConfig that would change the computation in a way that is not written here.
const ONLY = { attention_bias: false, sliding_window: null, tie_word_embeddings: false };

const WEIGHTS = [
  [/^model\.embed_tokens\.weight$/, "tok_embed.weight"],
  [/^model\.layers\.(\d+)\.input_layernorm\.weight$/, "layers.$1.ln1.weight"],
  [/^model\.layers\.(\d+)\.post_attention_layernorm\.weight$/, "layers.$1.ln2.weight"],
  [/^model\.layers\.(\d+)\.self_attn\.([qkvo])_proj\.weight$/, "layers.$1.attn.$2.weight"],
  [/^model\.layers\.(\d+)\.mlp\.gate\.weight$/, "layers.$1.mlp.router.weight"],
  [/^model\.layers\.(\d+)\.mlp\.experts\.(gate_up|down)_proj$/, "layers.$1.mlp.experts.$2"],
  [/^model\.norm\.weight$/, "ln_out.weight"],
  [/^lm_head\.weight$/, "head.weight"],
];

/**
 * The fields that the run reads.
 * @param {object} given of a MixtralConfig
 * @returns {object} of a TransformerBridgeConfig, with MixtralConfig's defaults
 * @throws {Error} if a field asks for something that is not written here
 */
export function configOf(given) {
  const rotary = given.rope_parameters ?? {};
  const asked = { ...given, rope_type: rotary.rope_type };
  for (const [field, value] of Object.entries({ ...ONLY, rope_type: "default" })) {
    if ((asked[field] ?? value) !== value) {
      throw new Error(`lens.js runs Mixtral with ${field} = ${value} only; this one has ${asked[field]}.`);
    }
  }
  return {
    act_fn: given.hidden_act ?? "silu",
    d_head: given.head_dim ?? Math.floor(given.hidden_size / given.num_attention_heads),
    d_mlp: given.intermediate_size,
    d_model: given.hidden_size,
    d_vocab: given.vocab_size,
    eps: given.rms_norm_eps ?? 1e-5,
    experts_per_token: given.num_experts_per_tok ?? 2,
    gated_mlp: true,
    n_ctx: given.max_position_embeddings,
    n_heads: given.num_attention_heads,
    n_key_value_heads: given.num_key_value_heads ?? 8,
    n_layers: given.num_hidden_layers,
    normalization_type: "RMS",
    num_experts: given.num_local_experts ?? 8,
    positional_embedding_type: "rotary",
    rotary_base: rotary.rope_theta ?? 1e6,
  };
}

/** The same weights by the names that lens.js looks for; names that Mixtral does not have stay. */
export function renamed(weights) {
  const nameOf = (name) => {
    const [pattern, other] = WEIGHTS.find(([known]) => known.test(name)) ?? [];
    return pattern ? name.replace(pattern, other) : name;
  };
  return Object.fromEntries(Object.entries(weights).map(([name, tensor]) => [nameOf(name), tensor]));
}
