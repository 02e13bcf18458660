#include <lovage/worker/prefork/backtrace.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include <cxxabi.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

namespace lovage::slot {

namespace {

/// Stacks can be deep, names long; messages and results have limits.
constexpr std::size_t kTextBytesMax = std::size_t{12} << 10U;
constexpr std::size_t kNameBytesMax = 200;

/// Debug information is looked for in the files themselves only: no searching, no network.
int find_nothing(Dwfl_Module* /*module*/, void** /*data*/, const char* /*name*/,
                 Dwarf_Addr /*base*/, const char* /*file*/, const char* /*link*/, GElf_Word /*crc*/,
                 char** /*found*/) {
    return -1;
}

/// As people write it.
void shorten_strings(std::string& name) {
    constexpr std::string_view kLong =
        "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
    for (std::size_t at = 0; (at = name.find(kLong, at)) != std::string::npos;) {
        name.replace(at, kLong.size(), "std::string");
    }
}

std::string demangled(const char* name) {
    int status = 0;
    char* const text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
    std::string readable = status == 0 && text != nullptr ? text : name;
    std::free(text);  // NOLINT: __cxa_demangle hands out malloc'ed memory
    shorten_strings(readable);
    if (readable.size() > kNameBytesMax) readable = readable.substr(0, kNameBytesMax) + "…";
    return readable;
}

/// From here outwards it is the slot's own code, the same for every task.
bool calls_tasks(std::string_view function) {
    return function.starts_with("lovage::run_task(") ||
           function.starts_with("lovage::slot::(anonymous namespace)::SlotServer::");
}

/// Whether a line is from what stands between a slot and the function of a task: the binding of
/// arguments, std::function, std::invoke. (Of a function that was inlined there it is not.)
bool hands_over(std::string_view place) {
    static constexpr std::array<std::string_view, 4> kFiles{"/lovage/core/task_function.hpp\"",
                                                            "/bits/std_function.h\"",
                                                            "/bits/invoke.h\"", "/functional\""};
    return std::ranges::any_of(
        kFiles, [&](std::string_view file) { return place.find(file) != std::string_view::npos; });
}

/// elfutils' view of the dead process.
class Symbols {
public:
    explicit Symbols(const CrashPage& page) {
        callbacks_.find_elf = dwfl_build_id_find_elf;
        callbacks_.find_debuginfo = find_nothing;
        dwfl_.reset(::dwfl_begin(&callbacks_));
        if (!dwfl_) return;
        for (std::uint32_t i = 0; i < page.module_count; ++i) {
            const char* const path = page.modules[i].path.data();
            const char* const file = *path == '\0' ? "/proc/self/exe" : path;
            ::dwfl_report_elf(dwfl_.get(), file, file, -1, page.modules[i].base, false);
        }
        ::dwfl_report_end(dwfl_.get(), nullptr, nullptr);
    }

    /// Its name; the address itself when it has none.
    [[nodiscard]] std::string function(std::uint64_t address) const {
        Dwfl_Module* const module = module_of(address);
        const char* const name =
            module != nullptr ? ::dwfl_module_addrname(module, address) : nullptr;
        return name != nullptr ? demangled(name) : fmt::format("{:#x}", address);
    }
    /// `"file", line 12`; of code without debug information the file it was loaded from.
    [[nodiscard]] std::string place(std::uint64_t address) const {
        Dwfl_Module* const module = module_of(address);
        if (module == nullptr) return "\"?\"";
        if (std::string source = source_of(module, address); !source.empty()) return source;
        const char* const file = ::dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr,
                                                    nullptr, nullptr, nullptr);
        return fmt::format("\"{}\"", file != nullptr ? file : "?");
    }

private:
    [[nodiscard]] Dwfl_Module* module_of(std::uint64_t address) const {
        return dwfl_ ? ::dwfl_addrmodule(dwfl_.get(), address) : nullptr;
    }
    /// `"file", line 12`; empty when nothing tells. Compilation units are looked through one by
    /// one: clang writes no .debug_aranges, which libdwfl's own look-up needs.
    [[nodiscard]] static std::string source_of(Dwfl_Module* module, std::uint64_t address) {
        Dwarf_Addr bias = 0;
        for (Dwarf_Die* unit = nullptr;
             (unit = ::dwfl_module_nextcu(module, unit, &bias)) != nullptr;) {
            if (::dwarf_haspc(unit, address - bias) != 1) continue;
            Dwarf_Line* const line = ::dwarf_getsrc_die(unit, address - bias);
            const char* const file =
                line != nullptr ? ::dwarf_linesrc(line, nullptr, nullptr) : nullptr;
            int number = 0;
            if (file == nullptr || ::dwarf_lineno(line, &number) != 0) return {};
            return fmt::format("\"{}\", line {}", file, number);
        }
        return {};
    }

    struct End {
        void operator()(Dwfl* dwfl) const { ::dwfl_end(dwfl); }
    };
    Dwfl_Callbacks callbacks_{};
    std::unique_ptr<Dwfl, End> dwfl_;
};

}  // namespace

void copy_checked(const CrashPage& from, CrashPage& to) {
    to.stage.store(from.stage.load());
    to.signal = from.signal;
    to.code = from.code;
    to.address = from.address;
    to.instruction = from.instruction;
    to.frame_count = std::min<std::uint32_t>(from.frame_count, CrashPage::kFrames);
    to.module_count = std::min<std::uint32_t>(from.module_count, CrashPage::kModules);
    to.frames = from.frames;
    to.modules = from.modules;
    for (CrashPage::Module& module : to.modules) module.path.back() = '\0';
}

std::string describe_stack(const CrashPage& page) {
    if (page.stage.load() != CrashPage::complete) return {};
    // What lies above the instruction that failed is the handler.
    const auto begin = page.frames.begin();
    const auto end = begin + page.frame_count;
    const auto fault = std::find(begin, end, page.instruction);
    const auto first = fault == end ? begin : fault;
    const Symbols symbols{page};
    std::vector<std::string> lines;
    std::size_t bytes = 0;
    std::size_t hand_over = 0;  // how many of the last lines are about that
    for (auto frame = first; frame != end; ++frame) {
        // A return address is behind the call, which may be another line or function.
        const std::uint64_t address = frame == fault || *frame == 0 ? *frame : *frame - 1;
        const std::string function = symbols.function(address);
        if (!lines.empty() && calls_tasks(function)) {
            lines.resize(std::max<std::size_t>(lines.size() - hand_over, 1));
            break;
        }
        const std::string place = symbols.place(address);
        hand_over = hands_over(place) ? hand_over + 1 : 0;
        lines.push_back(fmt::format("  File {}, in {}\n", place, function));
        bytes += lines.back().size();
        if (bytes > kTextBytesMax) {
            lines.emplace_back("  …\n");
            break;
        }
    }
    std::string text;
    std::ranges::for_each(lines.rbegin(), lines.rend(), [&](const auto& line) { text += line; });
    return text;
}

}  // namespace lovage::slot
