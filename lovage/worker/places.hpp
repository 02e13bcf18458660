#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/worker/held_keys.hpp>
#include <lovage/worker/task_run.hpp>

namespace lovage {

/// The places of a concurrency limit are entries of the state store, "<key>/0", "<key>/1", …, each
/// with a time to live. Whoever makes one that is not there has the place; nobody counts, so there
/// is no count that a crash could leave wrong.

/// What is asked of the store for a task; nothing when its task has no limit, or the arguments do
/// not fit it.
[[nodiscard]] std::optional<PlaceCall> place_call(const TaskDefinition& task, const Json& args,
                                                  const Json& kwargs);

/// Which place to try: one whose value is `own` (taken by a write that was not heard of), else one
/// that is free, searched from `from` on; nothing when all are taken.
[[nodiscard]] std::optional<std::size_t> choose_place(
    const std::vector<std::optional<StateEntry>>& places, std::string_view own,
    std::size_t from) noexcept;

/// Takes a place for `lease`; nothing when all are taken. Errors: the store's; the place may have
/// been taken all the same, and is found by the next call with the same value, or lapses.
/// Lifetime: `core` must outlive the returned Awaitable.
[[nodiscard]] Awaitable<Result<std::optional<HeldKeys::Entry>>> take_place(
    AppCore* core, PlaceCall call, std::string value, std::chrono::milliseconds lease,
    Deadline deadline);

}  // namespace lovage
