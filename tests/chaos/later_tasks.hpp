#pragma once

#include <lovage/lovage.hpp>

/// Tasks for later, and what sends very many of them, for the program under test.
namespace lovage::chaos {

/// Registers chaos.later, which notes in the file that CHAOS_LATENESS names: its number, when it
/// began and how late that was, both in microseconds.
void register_later_tasks(App& app);

/// Sends `count` of them as fast as it can, each due at a time of its own within `span` from
/// `first` on, in no order. Returns the program's exit code; throws LovageError when one is
/// refused.
int produce_later(App& app, std::int64_t count, TimePoint first, std::chrono::seconds span);

}  // namespace lovage::chaos
