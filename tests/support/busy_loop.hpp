#pragma once

#include <chrono>
#include <memory>
#include <semaphore>
#include <thread>

#include <lovage/runtime/loop.hpp>

namespace lovage {

/// Returns when the loop has begun something that takes it 100 ms: what is posted now is on its way
/// for that long. On a machine that pauses the caller it may be over sooner; a test that needs the
/// time passes then without having looked.
inline void busy_loop(Loop& loop) {
    const auto begun = std::make_shared<std::binary_semaphore>(0);
    loop.post([begun] {
        begun->release();
        std::this_thread::sleep_for(std::chrono::milliseconds{100});
    });
    begun->acquire();
}

}  // namespace lovage
