#pragma once

#include <cstdint>
#include <vector>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/signature.hpp>

// How signatures become workflows: what Celery's `|`, chain(), link() and map() make of them
// (celery-wire reference, sections 14.3 to 14.5 and 14.9). Pure.
namespace lovage {

/// `parts[0] | parts[1] | …` by Celery's rules of upgrading: chains in chains are opened; a group
/// that something follows becomes a chord with that as its body; what follows a chord belongs to
/// its body; a group of one member that follows something is that member. A single task becomes a
/// chain of one. Errors: invalid_argument (no parts), malformed, too_large.
[[nodiscard]] Result<Signature> chain_of(std::vector<Signature> parts);

/// Puts `args` in front of the arguments that a canvas begins with: its own, its first step's, each
/// member's. An immutable signature takes none. Errors: malformed, too_large.
[[nodiscard]] Result<void> prepend_args(Signature& signature, const Json::Array& args);

/// `callback` is called with the result: of a chord, its body's; of a group, when its first member
/// is done and without the result, which is what Celery does. Twice the same is once.
/// Errors: malformed, too_large.
[[nodiscard]] Result<void> add_link(Signature& signature, const Signature& callback);
/// `errback` is called when it fails: each member of a group, the body of a chord, any step of a
/// chain. Errors: malformed, too_large.
[[nodiscard]] Result<void> add_errback(Signature& signature, const Signature& errback);

/// Stamps every task in it, callbacks and errbacks included, with `stamps` (a map of names to
/// values), each in place of an earlier one of that name. Messages carry them to wherever the task
/// runs; see `revoke_by_stamped_headers`. Errors: invalid_argument (a name that is empty or means
/// something else among a signature's options), malformed, too_large.
///
/// Celery differs: its `chord.stamp(name=value)` leaves the body without; its visitors do not.
[[nodiscard]] Result<void> add_stamps(Signature& signature, const Json& stamps);
/// Whether these can be stamps: a map. Errors: invalid_argument, as above.
[[nodiscard]] Result<void> check_stamps(const Json& stamps);

/// One task that calls another one for each of `items`, a list; its arguments and options do not
/// count. `spread`: each item is a list of arguments (Celery's starmap).
[[nodiscard]] Signature make_map(const Signature& task, Json items, bool spread);
/// The same in tasks of `size` items each, at least 1. Celery's chunks: a signature that becomes a
/// group when it is called.
[[nodiscard]] Signature make_chunks(const Signature& task, Json items, std::int64_t size);

[[nodiscard]] bool is_chunks(const Signature& signature) noexcept;
/// What make_chunks() stands for. Errors: malformed, too_large.
[[nodiscard]] Result<Signature> group_of_chunks(const Signature& chunks);

/// The task whose calls a map is made of; empty when it is none. By this name it is routed.
[[nodiscard]] std::string mapped_task(std::string_view task, const Json& kwargs);

}  // namespace lovage
