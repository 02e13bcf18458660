#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <lovage/app/app_core.hpp>
#include <lovage/worker/pool.hpp>

namespace lovage {

struct PoolOptions {
    std::string name;  ///< "prefork", "threads", "coroutine", "solo"; empty: the `worker_pool`
                       ///< setting, else default.
    std::size_t slots = 1;
    std::string hostname;  ///< The worker's node name.
};

/// The pool that is used when nobody names one: prefork in programs whose `main` is lovage::main,
/// threads in others, which cannot be started again as a slot.
[[nodiscard]] std::string default_pool();

/// The name of the pool `name` and the settings choose.
[[nodiscard]] std::string chosen_pool(const std::string& name, const Settings& settings);

/// Throws LovageError (invalid_argument) when there is no such pool, or when this program cannot
/// have it. `core` must outlive the pool.
[[nodiscard]] std::unique_ptr<Pool> make_pool(AppCore& core, PoolOptions options);

}  // namespace lovage
