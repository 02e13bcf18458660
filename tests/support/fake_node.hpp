#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>
#include <lovage/control/control_message.hpp>
#include <lovage/control/control_names.hpp>
#include <lovage/runtime/task_scope.hpp>

namespace lovage {

/// The mailbox of a worker that does not exist: answers remote control as a test says, on the
/// app's loop and broker.
class FakeNode {
public:
    /// The values to answer with, one message each; none: silence.
    using Answer = std::function<std::vector<Json>(const ControlRequest&)>;

    FakeNode(App& app, std::string name, Answer answer)
        : core_{app.core()},
          state_{std::make_unique<State>(core_, std::move(name), std::move(answer))} {
        core_->loop().run_blocking(start(core_, state_.get()));
    }
    ~FakeNode() { core_->loop().run_blocking(stop(state_.get())); }
    FakeNode(const FakeNode&) = delete;
    FakeNode& operator=(const FakeNode&) = delete;

    /// What it was asked, answered or not.
    [[nodiscard]] std::vector<ControlRequest> requests() const {
        std::vector<ControlRequest> seen;
        core_->loop().call([&] { seen = state_->seen; });
        return seen;
    }

private:
    struct State {
        State(const std::shared_ptr<AppCore>& core, std::string node, Answer how)
            : name{std::move(node)}, answer{std::move(how)}, scope{core->loop().executor()} {}
        std::string name;
        Answer answer;
        std::vector<ControlRequest> seen;
        std::unique_ptr<Consumer> consumer;
        TaskScope scope;
    };

    static Awaitable<void> start(std::shared_ptr<AppCore> core, State* state) {
        const Deadline deadline = Deadline::in(std::chrono::seconds{10});
        const ControlTopology mailbox = ControlNames{}.mailbox(state->name);
        value_or_throw(co_await core->connect(deadline));
        value_or_throw(co_await core->broker().declare_exchange(mailbox.exchange, deadline));
        value_or_throw(co_await core->broker().declare_queue(mailbox.queue, deadline));
        value_or_throw(co_await core->broker().bind(mailbox.binding, deadline));
        ConsumeOptions options{.queues = {mailbox.queue.name}, .prefetch = 10, .tag = {}};
        state->consumer =
            value_or_throw(co_await core->broker().consume(std::move(options), deadline));
        state->scope.spawn("fake node", serve(core, state));
    }

    static Awaitable<void> serve(std::shared_ptr<AppCore> core, State* state) {
        while (true) {
            auto deliveries =
                co_await state->consumer->receive(Deadline::in(std::chrono::minutes{5}));
            if (!deliveries) co_return;
            for (const Delivery& delivery : *deliveries) {
                state->consumer->ack(delivery.tag);
                const auto request = decode_control_request(delivery.message);
                if (request && addressed_to(*request, state->name)) {
                    co_await reply(core, state, *request);
                }
            }
        }
    }

    static Awaitable<void> reply(std::shared_ptr<AppCore> core, State* state,
                                 ControlRequest request) {
        state->seen.push_back(request);
        for (Json& value : state->answer(request)) {
            if (!request.reply_to) continue;
            const ControlReply reply{.ticket = request.ticket.value_or(""),
                                     .node = state->name,
                                     .value = std::move(value),
                                     .clock = request.clock + 1};
            (void)co_await core->broker().publish(reply_publication(*request.reply_to, reply),
                                                  Deadline::in(std::chrono::seconds{10}));
        }
    }

    static Awaitable<void> stop(State* state) {
        const Deadline deadline = Deadline::in(std::chrono::seconds{10});
        (void)co_await state->consumer->close(deadline);
        state->scope.request_stop();
        (void)co_await state->scope.join(deadline);
    }

    std::shared_ptr<AppCore> core_;
    std::unique_ptr<State> state_;
};

}  // namespace lovage
