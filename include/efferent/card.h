/* Policy cards: what a policy needs to know about its robot.
 *
 *   files + what the user answers -> eff_card (immutable) -> eff_controller
 *
 * A card names joints with pose, gains and limits, says how every observation is built and what every action means, and
 * at which rates. It is a JSON text (a key "efferent_card" with its version). Everything in it that can be checked
 * without the networks and the robot is checked when it is loaded:
 * unknown keys, counts, bounds, ages, periods, names that refer to each other.
 * A failure names the file, the path of the key, what was found and what was expected, such as
 *   go1.json: term 'joint_vel': vectors.obs.terms[3].scal: unknown key 'scal', did you mean 'scale'?
 * Units  SI: rad, rad/s, N m, N m/rad, N m s/rad, m, s. Orientations are w, x, y, z and turn body into world.
 * What a file does not say is never assumed: it is null in the card and one of its questions.
 */
#ifndef EFFERENT_CARD_H
#define EFFERENT_CARD_H

#include "efferent.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eff_card eff_card; /* immutable, reference counted */

typedef struct eff_card_options {
  size_t struct_size;
  const char *supplied; /* JSON object of answers to what no file says, or NULL: joint_names (the motor table),
                           joint_order, gain_order ("policy", "motor" or a list), command_of, limits, motion,
                           chunk_steps, joint_units, and patch: merged into the imported card as RFC 7386 says. An
                           answer that this kind of file does not ask for is refused. */
  const char *name;     /* eff_card_load_memory: what messages call the bytes, or NULL */
} eff_card_options;

/* Fills options with defaults: no answers. Any thread. */
EFF_API void eff_card_options_default(eff_card_options *options, size_t struct_size);

/* Loads a card from a JSON text or from an ONNX file, told apart by their first byte. Of ONNX the metadata are read,
 * the network is not built:
 * comma lists (BeyondMimic, mjlab, Humanoid-Control), holosoma's JSON, exploy, and without any of these the names of
 * recurrent state as rsl_rl exports it.
 * On success *out is a handle with one reference; otherwise NULL. Any thread.
 * EFF_E_IO the file cannot be read; EFF_E_FORMAT not a card, an unknown key, a wrong kind, count, bound or number;
 * EFF_E_UNSUPPORTED a later version, a term or op that is not known; EFF_E_MISMATCH parts that do not agree: names,
 * ages, periods; EFF_E_SHAPE counts against the network's tensors. */
EFF_API eff_status eff_card_load_file(const char *path, const eff_card_options *options_or_null, eff_card **out);
EFF_API eff_status eff_card_load_memory(const void *bytes, size_t size, const eff_card_options *options_or_null,
                                        eff_card **out);

/* The card as JSON, answers included. Loading this text gives an equal card: every number reads back as the same
 * double, null stays null.
 * Owned by the card; NULL for a handle that is not alive. Any thread. */
EFF_API const char *eff_card_json(const eff_card *card);

/* What is still to be answered before the card can drive a robot: paths such as "policy_period", "joints.default" or
 * "command_of:generated_commands".
 * Owned by the card; NULL from question_count on, or for a handle that is not alive. Any thread. */
EFF_API size_t eff_card_question_count(const eff_card *card);
EFF_API const char *eff_card_question(const eff_card *card, size_t index);

/* How to answer question `index`, one sentence for a person. Owned by the card; NULL as above. Any thread. */
EFF_API const char *eff_card_answer(const eff_card *card, size_t index);

/* Path of recording `index` that a controller of this card must meet before it starts, as controller.h says; of a card
 * in a file it begins with the file's folder. Owned by the card; NULL past the last, or for a handle that is not alive.
 * Any thread. */
EFF_API const char *eff_card_recording(const eff_card *card, size_t index);

/* One more reference; returns `card`, or NULL where it is not alive. Any thread. */
EFF_API eff_card *eff_card_retain(const eff_card *card);

/* Gives up one reference; the last one frees the card and its texts. NULL is ignored. Any thread. */
EFF_API void eff_card_release(eff_card *card);

#ifdef __cplusplus
}
#endif

#endif
