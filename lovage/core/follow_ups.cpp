#include <lovage/core/follow_ups.hpp>

#include <utility>

#include <fmt/format.h>

#include <lovage/core/task_message.hpp>

namespace lovage {
namespace {

/// Signatures called together become one group under an id of their own, as Celery does it.
Result<void> call_together(CanvasPlanner& planner, const std::vector<Signature>& signatures,
                           const Json::Array& args, const Json& options,
                           const std::string& position) {
    if (signatures.empty()) return {};
    return planner.call(make_group(signatures), args, options, position);
}

/// Wire: a chord takes them along for its body, whoever calls that.
Json descent(const CanvasPlanner::Caller& caller) {
    return Json::object({{"parent_id", caller.id}, {"root_id", caller.root_id}});
}

}  // namespace

Result<FollowUps> read_follow_ups(const Json& embed) {
    FollowUps follow_ups;
    static const std::string nothing = to_json_text(TaskMessage::default_embed());
    if (embed.is_raw() && embed.raw_text() == nothing) return follow_ups;
    auto parts = embed.expanded();
    if (!parts) return std::unexpected{std::move(parts.error())};
    const auto part = [&parts](std::string_view name) {
        const Json* found = parts->find(name);
        return found != nullptr ? *found : Json{};
    };
    auto callbacks = decode_signatures(part("callbacks"), "callbacks");
    if (!callbacks) return std::unexpected{std::move(callbacks.error())};
    auto errbacks = decode_signatures(part("errbacks"), "errbacks");
    if (!errbacks) return std::unexpected{std::move(errbacks.error())};
    // Of a chain only the next step is looked into: the others are passed on as they came.
    auto chain = part("chain").expanded();
    if (!chain) return std::unexpected{std::move(chain.error())};
    if (!chain->is_null() && !chain->is_array()) {
        return fail(Errc::malformed, "the chain is no list");
    }
    if (chain->is_array() && !chain->as_array().empty()) {
        auto next = decode_signature(chain->as_array().back(), "the next step of the chain");
        if (!next) return std::unexpected{std::move(next.error())};
        follow_ups.chain = std::move(chain->as_array());
    }
    follow_ups.chord = part("chord");
    if (!follow_ups.chord.is_null()) {
        auto body = decode_signature(follow_ups.chord, "the body of the chord");
        if (!body) return std::unexpected{std::move(body.error())};
    }
    follow_ups.callbacks = std::move(*callbacks);
    follow_ups.errbacks = std::move(*errbacks);
    return follow_ups;
}

Result<CanvasPlan> plan_success(const FollowUps& follow_ups, const CanvasPlanner::Caller& caller,
                                const Json& result) {
    CanvasPlanner planner{caller};
    const Json::Array args{result};
    Json options = descent(caller);
    Result<void> planned;
    if (follow_ups.callbacks.size() == 1) {
        planned = planner.call(follow_ups.callbacks.front(), args, options, "callback/0");
    } else {
        std::vector<Signature> others;
        for (std::size_t i = 0; i < follow_ups.callbacks.size() && planned; ++i) {
            const Signature& callback = follow_ups.callbacks[i];
            if (callback.type == SignatureType::group) {
                planned = planner.call(callback, args, options, fmt::format("callback/{}", i));
            } else {
                others.push_back(callback);
            }
        }
        if (planned) planned = call_together(planner, others, args, options, "callbacks");
    }
    if (planned && !follow_ups.chain.empty()) {
        Json::Array rest = follow_ups.chain;
        auto next = decode_signature(rest.back(), "the next step of the chain");
        if (!next) return std::unexpected{std::move(next.error())};
        rest.pop_back();
        options.set("chain", Json{std::move(rest)});
        planned = planner.call(std::move(*next), args, options, "chain");
    }
    if (!planned) return std::unexpected{std::move(planned.error())};
    return std::move(planner).take();
}

Result<CanvasPlan> plan_chord_body(const Signature& body, const CanvasPlanner::Caller& caller,
                                   Json results) {
    CanvasPlanner planner{caller};
    auto planned = planner.call(body, {std::move(results)}, Json::object(), "chord");
    if (!planned) return std::unexpected{std::move(planned.error())};
    return std::move(planner).take();
}

Result<CanvasPlan> plan_errbacks(const std::vector<Signature>& errbacks,
                                 const CanvasPlanner::Caller& caller, const FailedCall& failed,
                                 const std::function<bool(const Signature&)>& takes_failure) {
    CanvasPlanner planner{caller};
    std::vector<Signature> told_the_id;
    for (std::size_t i = 0; i < errbacks.size(); ++i) {
        if (!takes_failure(errbacks[i])) {
            told_the_id.push_back(errbacks[i]);
            continue;
        }
        auto planned =
            planner.call(errbacks[i], {failed.request, failed.exception, failed.traceback},
                         Json::object(), fmt::format("errback/{}", i));
        if (!planned) return std::unexpected{std::move(planned.error())};
    }
    auto planned =
        call_together(planner, told_the_id, {Json{caller.id}}, Json::object(), "errbacks");
    if (!planned) return std::unexpected{std::move(planned.error())};
    return std::move(planner).take();
}

}  // namespace lovage
