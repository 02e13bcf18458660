// What a worker does about tasks that were running when a whole worker process died.

#include <lovage/core/time.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/detail/worker_impl.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace lovage {

namespace {

/// Room for slots that are added later; a record is 128 bytes.
constexpr std::size_t kTasksAtLeast = 1'100;

}  // namespace

Awaitable<void> Worker::Impl::open_journal() {
    const Settings& settings = app.settings();
    // State that dies with the process has no successors.
    if (settings.result_backend.starts_with("memory:")) co_return;
    const std::string& folder = settings.worker_inflight_folder;
    const journal::Place place{
        folder.empty() ? journal::default_folder() : std::filesystem::path{folder},
        journal::group_of(settings.broker_url, settings.result_backend)};
    dead_workers_.emplace(*core, place);
    co_await dead_workers_->charge_started(wall_clock_now());
    auto file = journal::InFlightFile::create(place, std::max(slots + 64, kTasksAtLeast));
    if (file) {
        journal_ = std::move(*file);
    } else {
        log::warning("worker",
                     "Tasks that take the whole worker along will not be recognised: {} "
                     "(worker_inflight_folder)",
                     file.error().message());
    }
}

Awaitable<std::vector<std::size_t>> Worker::Impl::look_up_crashes(
    std::vector<RequestPtr> requests) {
    // Under delivery=celery a task is not run again; and nothing is kept.
    const auto suspect = [](const RequestPtr& request) {
        return request->delivery.redelivered && request->acknowledge.keep_rejected;
    };
    if (!dead_workers_ || std::ranges::none_of(requests, suspect)) {
        co_return std::vector<std::size_t>{};
    }
    const TimePoint now = wall_clock_now();
    co_await dead_workers_->charge_started(now);
    std::vector<std::string> ids;
    std::vector<std::size_t> of;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!suspect(requests[i])) continue;
        ids.push_back(requests[i]->message.id);
        of.push_back(i);
    }
    const std::vector<std::size_t> found = co_await dead_workers_->crashes(std::move(ids), now);
    std::vector<std::size_t> crashes(requests.size(), 0);
    for (std::size_t i = 0; i < of.size(); ++i) crashes[of[i]] = found[i];
    co_return crashes;
}

}  // namespace lovage
