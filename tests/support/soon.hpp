#pragma once

#include <lovage/runtime/deadline.hpp>

#include <chrono>
#include <thread>

namespace lovage {

/// The patience of a test with what takes a moment on an idle machine.
[[nodiscard]] inline Deadline soon() {
    return Deadline::in(std::chrono::seconds{30});
}

/// Waits for what other threads or processes do; false when it has not come by the deadline.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition, Deadline patience = soon()) {
    while (!condition()) {
        if (patience.passed()) return condition();
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return true;
}

}  // namespace lovage
