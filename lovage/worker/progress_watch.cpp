#include <lovage/worker/progress_watch.hpp>

#include <algorithm>
#include <utility>

namespace lovage {

using namespace std::chrono_literals;

std::string_view to_string(Repair repair) noexcept {
    switch (repair) {
        case Repair::none:
            return "none";
        case Repair::consumer:
            return "consumer";
        case Repair::connection:
            return "connection";
        case Repair::give_up:
            break;
    }
    return "exit";
}

ProgressWatch::ProgressWatch(Clock::duration patience) noexcept : patience_{patience} {}

ProgressWatch::Clock::duration ProgressWatch::interval() const noexcept {
    return std::clamp<Clock::duration>(patience_ / 4, 1ms, 15s);
}

bool ProgressWatch::wants_look(Worker worker) noexcept {
    if (worker.deliveries != deliveries_) {
        deliveries_ = worker.deliveries;
        if (tried_ != Repair::none) cure_ = std::exchange(tried_, Repair::none);
        begin_anew();
        return false;
    }
    if (!worker.able) begin_anew();
    return worker.able;
}

Repair ProgressWatch::looked(Worker worker, std::optional<std::uint64_t> waiting,
                             Clock::time_point now) noexcept {
    if (!wants_look(worker)) return Repair::none;
    if (!waiting) {
        begin_anew();
        return Repair::none;
    }
    if (*waiting == 0) {
        // Others took it, or there was nothing: no reason to go on to harder repairs.
        begin_anew();
        tried_ = Repair::none;
        return Repair::none;
    }
    // A process that was stopped has seen nothing in between.
    const bool gap = now - last_look_ > 4 * interval();
    last_look_ = now;
    if (!since_ || gap) {
        since_ = now;
        return Repair::none;
    }
    if (now - *since_ < patience_) return Repair::none;
    begin_anew();
    if (tried_ != Repair::give_up) tried_ = static_cast<Repair>(std::to_underlying(tried_) + 1);
    return tried_;
}

Repair ProgressWatch::take_cure() noexcept {
    return std::exchange(cure_, Repair::none);
}

}  // namespace lovage
