#include <lovage/worker/admission.hpp>

#include <utility>

namespace lovage {

Admission::Admission(const Settings& settings, WaitingRoom& waiting)
    : limits_rates_{!settings.worker_disable_rate_limits},
      default_limit_{settings.task_default_rate_limit},
      horizon_{settings.worker_eta_horizon},
      waiting_{waiting} {}

RateLine* Admission::line_of(const TaskDefinition& task) {
    if (!limits_rates_) return nullptr;
    const auto replaced = replaced_.find(&task);
    const RateLimit limit = replaced != replaced_.end()
                                ? replaced->second
                                : task.options.rate_limit.value_or(default_limit_);
    if (limit.per_second == 0) return nullptr;
    return &lines_.try_emplace(&task, limit, horizon_).first->second;
}

bool Admission::admit(std::shared_ptr<TaskRequest>& request) {
    RateLine* const line = request->turn ? nullptr : line_of(*request->definition);
    if (line == nullptr) return true;
    const auto now = RateLine::Clock::now();
    const auto turn = line->next(now);
    const std::shared_ptr<TaskRequest> admitted = request;
    if (turn == now || (line->soon(turn, now) && waiting_.hold_for_turn(request, turn))) {
        admitted->turn = line->take(now);
        return turn == now;
    }
    waiting_.send_away(std::move(request), line->stay_away(now));
    return false;
}

void Admission::give_back_turn(TaskRequest& request) {
    const auto turn = std::exchange(request.turn, std::nullopt);
    if (!turn) return;
    if (RateLine* const line = line_of(*request.definition)) line->give_back(*turn);
}

void Admission::set_limit(const TaskDefinition& task, RateLimit limit) {
    replaced_[&task] = limit;
    lines_.erase(&task);
    waiting_.forget_turns(task);
}

std::optional<RateLimit> Admission::replaced_limit(const TaskDefinition& task) const {
    const auto replaced = replaced_.find(&task);
    return replaced != replaced_.end() ? std::optional{replaced->second} : std::nullopt;
}

}  // namespace lovage
