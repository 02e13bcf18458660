#include <lovage/results/result_backend.hpp>

namespace lovage {

Awaitable<std::vector<Result<StoreOutcome>>> ResultBackend::store_many(std::vector<TaskMeta> metas,
                                                                       Deadline deadline) {
    std::vector<Result<StoreOutcome>> outcomes;
    outcomes.reserve(metas.size());
    for (TaskMeta& meta : metas) {
        outcomes.push_back(co_await store(std::move(meta), deadline));
    }
    co_return outcomes;
}

}  // namespace lovage
