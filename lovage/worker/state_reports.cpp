#include <lovage/worker/state_reports.hpp>

#include <boost/asio/post.hpp>

#include <utility>

namespace lovage {

StateReports::StateReports(Executor loop, std::function<void()> on_news)
    : loop_{std::move(loop)}, on_news_{std::move(on_news)} {}

void StateReports::report(StateReport report) {
    const std::lock_guard lock{mutex_};
    if (closed_) return;
    reports_.insert_or_assign(report.request, std::move(report));
    waiting_ = reports_.size();
    if (std::exchange(told_, true)) return;
    boost::asio::post(loop_, [self = shared_from_this()] {
        if (self->on_news_) self->on_news_();
    });
}

std::vector<StateReport> StateReports::take() {
    std::vector<StateReport> taken;
    const std::lock_guard lock{mutex_};
    taken.reserve(reports_.size());
    for (auto& [request, report] : reports_) taken.push_back(std::move(report));
    reports_.clear();
    waiting_ = 0;
    told_ = false;
    return taken;
}

std::optional<StateReport> StateReports::take(const std::shared_ptr<TaskRequest>& request) {
    if (waiting_ == 0) return std::nullopt;  // nearly always
    const std::lock_guard lock{mutex_};
    auto found = reports_.extract(request);
    waiting_ = reports_.size();
    if (found.empty()) return std::nullopt;
    return std::move(found.mapped());
}

void StateReports::close() {
    on_news_ = nullptr;
    const std::lock_guard lock{mutex_};
    closed_ = true;
    reports_.clear();
    waiting_ = 0;
}

}  // namespace lovage
