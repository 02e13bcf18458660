// Another process for the tests: stores one record in a folder and ends.
//
//   lovage_results_peer FOLDER TASK_ID RESULT_JSON

#include <lovage/results/sqlite/sqlite_results.hpp>
#include <lovage/runtime/loop.hpp>

#include <cstdio>

namespace lovage {
namespace {

Awaitable<int> store(Executor executor, std::string folder, std::string task_id,
                     std::string result) {
    const auto deadline = Deadline::in(std::chrono::seconds{30});
    const auto backend = make_sqlite_results(executor, {.folder = std::move(folder)});
    TaskMeta meta;
    meta.task_id = std::move(task_id);
    meta.status = states::kSuccess;
    meta.result = Json::raw(std::move(result));
    Result<StoreOutcome> stored = StoreOutcome::kept_existing;
    if (const auto connected = co_await backend->connect(deadline); !connected) {
        stored = std::unexpected(connected.error());
    } else {
        stored = co_await backend->store(std::move(meta), deadline);
    }
    co_await backend->close(deadline);
    if (!stored) std::fprintf(stderr, "%s\n", stored.error().message().c_str());
    co_return stored == StoreOutcome::stored ? 0 : 1;
}

}  // namespace
}  // namespace lovage

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    lovage::Loop loop{"peer"};
    loop.start();
    return loop.run_blocking(lovage::store(loop.executor(), argv[1], argv[2], argv[3]));
}
