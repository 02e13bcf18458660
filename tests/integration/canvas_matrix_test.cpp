// Every primitive of the canvas in every situation: all is well, a part fails, is retried or is
// revoked; there is no part, one, or a thousand.

#include "both_stacks.hpp"

#include <cstdint>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <lovage/app/app.hpp>
#include <lovage/core/compose.hpp>
#include <lovage/core/uuid.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

using Integers = std::vector<std::int64_t>;
using Rows = std::vector<std::tuple<std::int64_t, std::int64_t>>;

constexpr std::int64_t kThousand = 1'000;
/// For a thousand steps one after another, on a machine that does other things, too.
constexpr auto kMatrixPatience = 180s;
constexpr const char* kRevoked = "TaskRevokedError: revoked";

Integers first_integers(std::int64_t count) {
    Integers all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}
Rows rows_of(const Integers& integers) {
    Rows rows;
    for (const std::int64_t integer : integers) rows.emplace_back(integer, 0);
    return rows;
}

class CanvasMatrix : public BothStacks {
protected:
    using Part = Canvas<std::int64_t>;

    /// What a part does that is not like the others.
    enum class Odd : std::uint8_t { fails, is_retried, is_revoked };

    /// A call of one argument, which it returns unless it is odd.
    Part odd(Odd how, const std::vector<std::int64_t>& args) {
        const auto call = [&](const auto& task) {
            return args.empty() ? Part{task.s()} : Part{task.s(args[0])};
        };
        switch (how) {
            case Odd::fails:
                return call(refuse_);
            case Odd::is_retried:
                return call(flaky_);
            case Odd::is_revoked: {
                const std::string id = uuid4();
                app_.async_result(id).revoke();
                return call(same_).set({.task_id = id});
            }
        }
        return call(same_);
    }
    std::vector<Part> parts(std::int64_t count) {
        std::vector<Part> all;
        for (std::int64_t i = 0; i < count; ++i) all.push_back(same_.s(i));
        return all;
    }
    /// 0, 1, 2, the second one odd.
    std::vector<Part> parts_with(Odd how) {
        std::vector<Part> all = parts(3);
        all[1] = odd(how, {1});
        return all;
    }

    /// What a canvas comes to, as text: its value, or its failure.
    template <class C>
    std::string outcome(const C& canvas) {
        return outcome_of(canvas.delay());
    }
    template <class R>
    std::string outcome_of(const R& result) {
        const RunningWorker worker{app_, 4};
        try {
            return to_json_text(to_json(result.get(kMatrixPatience)));
        } catch (const LovageError& error) {
            if (!error.error().failure) return error.what();
            return error.error().failure->exc_type + ": " + error.error().failure->exc_message;
        }
    }

    void note(std::string what) {
        const std::lock_guard lock{mutex_};
        noted_.push_back(std::move(what));
    }
    /// What callbacks noted when this had run. A worker that has stopped has sent all of them.
    std::vector<std::string> noted_by(const CanvasBase& canvas) {
        {
            const std::lock_guard lock{mutex_};
            noted_.clear();
        }
        const auto result = Canvas<>{canvas.core(), canvas.signature()}.delay();
        {
            const RunningWorker worker{app_, 1};
            (void)result.wait(kMatrixPatience);
        }
        {
            const RunningWorker worker{app_, 1};
            note_.si("end").delay().get(kMatrixPatience);  // one slot, first in, first out
        }
        const std::lock_guard lock{mutex_};
        EXPECT_EQ(noted_.back(), "end");
        return {noted_.begin(), noted_.end() - 1};
    }
    /// A thousand callbacks under an option, "link" or "link_error".
    Part with_thousand(const Part& call, const char* option) {
        std::vector<Signature> callbacks;
        for (std::int64_t i = 0; i < kThousand; ++i) {
            callbacks.push_back(note_.si(std::to_string(i)).signature());
        }
        Signature linked = call.signature();
        linked.options.set(option, encode_signatures(callbacks));
        return {app_.core(), std::move(linked)};
    }

    App app_{"matrix", settings_};
    Task<std::int64_t, std::tuple<std::int64_t>, 1> same_ =
        app_.task("same", [](std::int64_t number) { return number; }, arg("number"));
    Task<std::int64_t, std::tuple<std::int64_t, std::int64_t>, 2> add_ =
        app_.task("add", [](std::int64_t x, std::int64_t y) { return x + y; }, arg("x"), arg("y"));
    Task<std::int64_t, std::tuple<Integers>, 1> total_ = app_.task(
        "total",
        [](const Integers& all) {
            return std::accumulate(all.begin(), all.end(), std::int64_t{0});
        },
        arg("numbers"));
    Task<std::int64_t, std::tuple<std::int64_t>, 1> refuse_ = app_.task(
        "refuse",
        [](std::int64_t number) -> std::int64_t {
            if (number != 1) return number;
            throw std::invalid_argument{"no " + std::to_string(number)};
        },
        arg("number"));
    Task<std::int64_t, std::tuple<std::int64_t, std::int64_t>, 2> refuse_row_ = app_.task(
        "refuse_row",
        [](std::int64_t x, std::int64_t y) -> std::int64_t {
            if (x != 1) return x + y;
            throw std::invalid_argument{"no row " + std::to_string(x)};
        },
        arg("x"), arg("y"));
    Task<std::int64_t, std::tuple<std::int64_t>, 1> flaky_ = app_.task(
        "flaky",
        [](TaskContext& context, std::int64_t number) {
            if (context.retries() == 0) context.retry({.countdown = 0ms});
            return number;
        },
        arg("number"));
    Task<std::int64_t, std::tuple<std::int64_t, std::int64_t>, 2> flaky_row_ = app_.task(
        "flaky_row",
        [](TaskContext& context, std::int64_t x, std::int64_t y) {
            if (context.retries() == 0) context.retry({.countdown = 0ms});
            return x + y;
        },
        arg("x"), arg("y"));
    Task<void, std::tuple<std::string>, 1> note_ =
        app_.task("note", [this](std::string what) { note(std::move(what)); }, arg("what"));

private:
    std::mutex mutex_;
    std::vector<std::string> noted_;
};
INSTANTIATE_TEST_SUITE_P(On, CanvasMatrix, testing::Values("sqlite", "rabbitmq"), broker_name);

TEST_P(CanvasMatrix, Chain) {
    const auto around = [this](const Part& middle) {
        return outcome(chain(std::vector<Part>{same_.s(1), middle, add_.s(10)}));
    };
    EXPECT_EQ(around(same_.s()), "11");
    EXPECT_EQ(around(odd(Odd::fails, {})), "ValueError: no 1");
    EXPECT_EQ(around(odd(Odd::is_retried, {})), "11");
    EXPECT_EQ(around(odd(Odd::is_revoked, {})), kRevoked);
    EXPECT_THROW((void)chain(std::vector<Part>{}), LovageError);
    EXPECT_EQ(outcome(chain(std::vector<Part>{same_.s(1)})), "1");
    std::vector<Part> steps{same_.s(1)};
    for (std::int64_t i = 1; i < kThousand; ++i) steps.push_back(add_.s(1));
    EXPECT_EQ(outcome(chain(steps)), "1000");
}

TEST_P(CanvasMatrix, Group) {
    EXPECT_EQ(outcome(group(parts(3))), "[0, 1, 2]");
    EXPECT_EQ(outcome(group(parts_with(Odd::is_retried))), "[0, 1, 2]");
    for (const auto& [how, failure] :
         {std::pair{Odd::fails, "ValueError: no 1"}, std::pair{Odd::is_revoked, kRevoked}}) {
        const auto result = group(parts_with(how)).delay();
        EXPECT_EQ(outcome_of(result), failure);
        const RunningWorker worker{app_, 2};
        (void)result.wait(kLong);
        EXPECT_EQ(result.counts().failed, 1U);
        EXPECT_EQ(result.counts().successful, 2U);
    }
    EXPECT_EQ(outcome(Group<std::int64_t>{app_.core(), make_group({})}), "[]");
    EXPECT_EQ(outcome(group(parts(1))), "[0]");
    EXPECT_EQ(outcome(group(parts(kThousand))), to_json_text(to_json(first_integers(kThousand))));
}

TEST_P(CanvasMatrix, Chord) {
    EXPECT_EQ(outcome(chord(parts(3), total_.s())), "3");
    EXPECT_EQ(outcome(chord(parts_with(Odd::is_retried), total_.s())), "3");
    EXPECT_THAT(outcome(chord(parts_with(Odd::fails), total_.s())),
                AllOf(StartsWith("ChordError: Dependency "), HasSubstr("ValueError('no 1')")));
    EXPECT_THAT(outcome(chord(parts_with(Odd::is_revoked), total_.s())),
                AllOf(StartsWith("ChordError: Dependency "), HasSubstr("TaskRevokedError")));
    EXPECT_EQ(outcome(chord(std::vector<Part>{}, total_.s())), "0");
    EXPECT_EQ(outcome(chord(parts(2), odd(Odd::is_revoked, {}).unchecked())), kRevoked)
        << "a revoked body";
    EXPECT_EQ(outcome(chord(parts(1), total_.s())), "0");
    EXPECT_EQ(outcome(chord(parts(kThousand), total_.s())), "499500");
}

TEST_P(CanvasMatrix, Map) {
    EXPECT_EQ(outcome(same_.map(first_integers(3))), "[0, 1, 2]");
    EXPECT_EQ(outcome(refuse_.map(first_integers(3))), "ValueError: no 1");
    EXPECT_EQ(outcome(flaky_.map(first_integers(3))), "[0, 1, 2]") << "the whole map is retried";
    const auto revoked = same_.map(first_integers(3)).delay();
    revoked.revoke();
    EXPECT_EQ(outcome_of(revoked), kRevoked);
    EXPECT_EQ(outcome(same_.map(Integers{})), "[]");
    EXPECT_EQ(outcome(same_.map(Integers{0})), "[0]");
    EXPECT_EQ(outcome(same_.map(first_integers(kThousand))),
              to_json_text(to_json(first_integers(kThousand))));
}

TEST_P(CanvasMatrix, Starmap) {
    EXPECT_EQ(outcome(add_.starmap(rows_of(first_integers(3)))), "[0, 1, 2]");
    EXPECT_EQ(outcome(refuse_row_.starmap(rows_of(first_integers(3)))), "ValueError: no row 1");
    EXPECT_EQ(outcome(flaky_row_.starmap(rows_of(first_integers(3)))), "[0, 1, 2]");
    const auto revoked = add_.starmap(rows_of(first_integers(3))).delay();
    revoked.revoke();
    EXPECT_EQ(outcome_of(revoked), kRevoked);
    EXPECT_EQ(outcome(add_.starmap(Rows{})), "[]");
    EXPECT_EQ(outcome(add_.starmap(rows_of({0}))), "[0]");
    EXPECT_EQ(outcome(add_.starmap(rows_of(first_integers(kThousand)))),
              to_json_text(to_json(first_integers(kThousand))));
}

TEST_P(CanvasMatrix, Chunks) {
    const Rows three = rows_of(first_integers(3));
    EXPECT_EQ(outcome(add_.chunks(three, 2)), "[[0, 1], [2]]");
    EXPECT_EQ(outcome(refuse_row_.chunks(three, 2)), "ValueError: no row 1");
    EXPECT_EQ(outcome(flaky_row_.chunks(three, 2)), "[[0, 1], [2]]");
    const auto some = add_.chunks(three, 2).delay();
    some.results()[1].revoke();
    EXPECT_EQ(outcome_of(some), kRevoked);
    EXPECT_EQ(some.counts().successful, 1U);
    EXPECT_EQ(outcome(add_.chunks(Rows{}, 2)), "[]");
    EXPECT_THROW((void)add_.chunks(three, 0), LovageError);
    EXPECT_EQ(outcome(add_.chunks(rows_of({0}), 2)), "[[0]]");
    std::vector<Integers> singles;
    for (std::int64_t i = 0; i < kThousand; ++i) singles.push_back({i});
    EXPECT_EQ(outcome(add_.chunks(rows_of(first_integers(kThousand)), 1)),
              to_json_text(to_json(singles)));
}

TEST_P(CanvasMatrix, Link) {
    const auto done = note_.si("done");
    EXPECT_THAT(noted_by(same_.s(1).link(done)), SizeIs(1));
    EXPECT_THAT(noted_by(odd(Odd::fails, {1}).link(done)), SizeIs(0));
    EXPECT_THAT(noted_by(odd(Odd::is_retried, {1}).link(done)), SizeIs(1));
    EXPECT_THAT(noted_by(odd(Odd::is_revoked, {1}).link(done)), SizeIs(0));
    EXPECT_THAT(noted_by(same_.s(1)), SizeIs(0));
    EXPECT_THAT(noted_by(with_thousand(same_.s(1), "link")), SizeIs(kThousand));
}

TEST_P(CanvasMatrix, LinkError) {
    const auto failed = note_.si("failed");
    EXPECT_THAT(noted_by(same_.s(1).link_error(failed)), SizeIs(0));
    EXPECT_THAT(noted_by(odd(Odd::fails, {1}).link_error(failed)), SizeIs(1));
    EXPECT_THAT(noted_by(odd(Odd::is_retried, {1}).link_error(failed)), SizeIs(0));
    EXPECT_THAT(noted_by(odd(Odd::is_revoked, {1}).link_error(failed)), SizeIs(0));
    EXPECT_THAT(noted_by(odd(Odd::fails, {1})), SizeIs(0));
    EXPECT_THAT(noted_by(with_thousand(odd(Odd::fails, {1}), "link_error")), SizeIs(kThousand));
}

}  // namespace
}  // namespace lovage::integration
