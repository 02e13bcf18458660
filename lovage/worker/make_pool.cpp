#include <lovage/worker/make_pool.hpp>

#include <lovage/worker/coroutine_pool.hpp>
#include <lovage/worker/prefork/prefork_pool.hpp>
#include <lovage/worker/prefork/slot_start.hpp>
#include <lovage/worker/threads_pool.hpp>

#include <fmt/format.h>

#include <utility>

namespace lovage {

namespace {

[[noreturn]] void refuse(std::string why) {
    throw LovageError{Error{Errc::invalid_argument, std::move(why)}};
}

std::unique_ptr<Pool> make_prefork(AppCore& core, PoolOptions options) {
    if (!slot::slots_enabled()) {
        refuse(
            "worker_pool = 'prefork': slots are this program started again, which only programs "
            "whose main calls lovage::main can do; use the pool 'threads'");
    }
    PreforkOptions prefork;
    prefork.slots = options.slots;
    prefork.hostname = std::move(options.hostname);
    prefork.memory_max = std::uint64_t{core.settings().worker_max_memory_per_child} << 10U;
    prefork.tasks_max = core.settings().worker_max_tasks_per_child;
    return std::make_unique<PreforkPool>(core, std::move(prefork));
}

}  // namespace

std::string default_pool() {
    return slot::slots_enabled() ? "prefork" : "threads";
}

std::string chosen_pool(const std::string& name, const Settings& settings) {
    if (!name.empty()) return name;
    return settings.worker_pool.empty() ? default_pool() : settings.worker_pool;
}

std::unique_ptr<Pool> make_pool(AppCore& core, PoolOptions options) {
    const std::string name = chosen_pool(options.name, core.settings());
    if (name == "prefork") return make_prefork(core, std::move(options));
    if (name == "threads") {
        return std::make_unique<ThreadsPool>(core.loop().executor(), options.slots);
    }
    // Its one slot is a thread as well: heartbeats go on while a task runs.
    if (name == "solo") return std::make_unique<ThreadsPool>(core.loop().executor(), 1, "solo");
    if (name == "coroutine") {
        return std::make_unique<CoroutinePool>(core.loop().executor(), options.slots);
    }
    refuse(
        fmt::format("there is no pool '{}'; there are: prefork, threads, coroutine, solo", name));
}

}  // namespace lovage
