#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <lovage/worker/journal/in_flight_file.hpp>
#include <lovage/worker/prefork/prefork_pool.hpp>
#include <lovage/worker/prefork/slot_process.hpp>
#include <lovage/worker/prefork/slot_state.hpp>

// Of the sources of PreforkPool only.
namespace lovage {

struct PreforkPool::Slot {
    std::uint32_t index = 0;
    std::shared_ptr<slot::SlotProcess> process;
    slot::SlotState state;
    journal::InFlightMark mark;  ///< While it runs a task.
    bool removed = false;        ///< It goes when its task has ended, and nobody follows it.
    std::size_t failures = 0;    ///< Processes that ended by themselves since a task has.
};

/// How long a slot may take from its start until it is ready, on_slot_start included.
inline constexpr std::chrono::seconds kReadyWithin{120};
/// How long it may take to leave, on_slot_stop included.
inline constexpr std::chrono::seconds kGoneWithin{30};

}  // namespace lovage
