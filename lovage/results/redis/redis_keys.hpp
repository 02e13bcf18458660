#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace lovage::detail {

/// The names of our keys in Redis.
class RedisKeys {
public:
    /// `prefix`: Celery's global_keyprefix (celery-wire reference, section 12.1; Celery 5.3).
    explicit RedisKeys(std::string prefix) : prefix_{std::move(prefix)} {
        if (!prefix_.empty() && !std::string_view{":_-."}.contains(prefix_.back())) prefix_ += '_';
        result_ = prefix_ + "celery-task-meta-";    // Wire: also the channel's name.
        group_ = prefix_ + "celery-taskset-meta-";  // Wire.
    }

    [[nodiscard]] std::string result(std::string_view task_id) const {
        return result_ + std::string{task_id};
    }
    /// The task a result's key or channel belongs to; empty when it is none.
    [[nodiscard]] std::string_view task_id(std::string_view key) const {
        return key.starts_with(result_) ? key.substr(result_.size()) : std::string_view{};
    }
    // Wire: a chord's keys (celery-wire reference, section 12.1).
    [[nodiscard]] std::string group(std::string_view group_id) const {
        return group_ + std::string{group_id};
    }
    [[nodiscard]] std::string chord_parts(std::string_view group_id) const {
        return group(group_id) + ".j";
    }
    [[nodiscard]] std::string chord_extra(std::string_view group_id) const {
        return group(group_id) + ".t";
    }
    [[nodiscard]] std::string chord_size(std::string_view group_id) const {
        return group(group_id) + ".s";
    }
    /// The task whose return completed the chord, or that it is over; ours alone.
    [[nodiscard]] std::string chord_completed_by(std::string_view group_id) const {
        return prefix_ + "lovage-chord-" + std::string{group_id};
    }
    /// What sweepers know and have seen of a chord; which chords there are, by their next turn.
    [[nodiscard]] std::string chord_watch(std::string_view group_id) const {
        return prefix_ + "lovage-chord-watch-" + std::string{group_id};
    }
    [[nodiscard]] std::string chords() const { return prefix_ + "lovage-chords"; }
    [[nodiscard]] std::string sent(std::string_view task_id) const {
        return prefix_ + "lovage-sent-" + std::string{task_id};
    }
    [[nodiscard]] std::string state(std::string_view name) const {
        return prefix_ + "lovage-state:" + std::string{name};
    }
    [[nodiscard]] std::string state_version() const { return prefix_ + "lovage-state-version"; }
    [[nodiscard]] std::string state_names() const { return prefix_ + "lovage-state-names"; }
    [[nodiscard]] std::string state_expiries() const { return prefix_ + "lovage-state-expiries"; }

private:
    std::string prefix_;
    std::string result_;
    std::string group_;
};

}  // namespace lovage::detail
