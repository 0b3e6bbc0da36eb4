// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// LineEditor.
#include "kernel/console/line_editor.hpp"

#include "kernel/console/utf8.hpp"

namespace helix::kernel {

namespace {
constexpr char control_key(char letter) {
    return static_cast<char>(letter & 0x1f);
}
constexpr uint8_t kEscape = 0x1b;
constexpr uint8_t kDelete = 0x7f;

/// Counts the candidates with a prefix and finds how far they agree.
class CommonPrefix final : public CompletionCandidates {
public:
    explicit CommonPrefix(Text word) : word_(word) {}
    void offer(Text candidate) override {
        if (!candidate.starts_with(word_)) return;
        if (!any_) {
            any_ = true;
            common_.assign(candidate);
            return;
        }
        size_t agreed = 0;
        while (agreed < candidate.size() && agreed < common_.size() && candidate[agreed] == common_.text()[agreed])
            ++agreed;
        if (agreed != common_.size() || agreed != candidate.size()) several_ = true;
        common_ = FixedText<128>(common_.text().substr(0, agreed));
    }
    bool any() const { return any_; }
    bool several() const { return several_; }
    Text common() const { return common_.text(); }

private:
    Text word_;
    bool any_ = false;
    bool several_ = false;  ///< different ones; the same text offered twice is one candidate
    FixedText<128> common_;
};

/// Prints the candidates with a prefix, as many in a line as fit.
class CandidateList final : public CompletionCandidates {
public:
    CandidateList(Text word, TextSink& terminal) : word_(word), terminal_(terminal) {}
    void offer(Text candidate) override {
        if (!candidate.starts_with(word_)) return;
        const size_t width = character_count(candidate) + 2;
        if (column_ + width > LineEditor::kColumns) {
            terminal_.write("\n");
            column_ = 0;
        }
        terminal_.write(candidate);
        terminal_.write("  ");
        column_ += width;
    }

private:
    Text word_;
    TextSink& terminal_;
    size_t column_ = 0;
};
}  // namespace

size_t last_word_begin(Text before) {
    size_t begin = before.size();
    while (begin > 0 && Text(" \t;'\"").find(before[begin - 1]) == SIZE_MAX) --begin;
    return begin;
}

void LineEditor::begin(Text prompt) {
    prompt_ = prompt;
    size_ = 0;
    cursor_ = 0;
    browsing_ = 0;
    too_long_ = false;
    after_tab_ = false;
    if (mode_ == Mode::Interactive) terminal_.write(prompt_);
}

LineEditor::Action LineEditor::feed(uint8_t byte) {
    if (ended_) return Action::EndOfInput;
    const bool second_of_pair = after_return_ && byte == '\n';
    after_return_ = byte == '\r';
    if (second_of_pair) return Action::Continue;
    return mode_ == Mode::Plain ? feed_plain(byte) : feed_interactive(byte);
}

LineEditor::Action LineEditor::feed_plain(uint8_t byte) {
    if (byte == '\n' || byte == '\r') return too_long_ ? Action::TooLong : Action::Line;
    if (byte == control_key('D')) {
        ended_ = true;
        if (too_long_) return Action::TooLong;
        return size_ > 0 ? Action::Line : Action::EndOfInput;
    }
    if (byte == control_key('C')) {
        size_ = 0;
        too_long_ = false;
    } else if (byte >= ' ' || byte == '\t') {
        if (size_ < kCapacity)
            line_[size_++] = static_cast<char>(byte);
        else
            too_long_ = true;
    }
    return Action::Continue;
}

LineEditor::Action LineEditor::feed_interactive(uint8_t byte) {
    const bool again = after_tab_;
    after_tab_ = false;
    if (escape_ != Escape::None) {
        feed_escape(static_cast<char>(byte));
        return Action::Continue;
    }
    switch (byte) {
        case '\r':
        case '\n':
            terminal_.write("\n");
            remember();
            return Action::Line;
        case control_key('D'):
            if (size_ == 0) {
                ended_ = true;
                terminal_.write("\n");
                return Action::EndOfInput;
            }
            erase(cursor_, after_cursor());
            return Action::Continue;
        case '\t':
            complete(again);
            after_tab_ = true;
            return Action::Continue;
        case kEscape: escape_ = Escape::Started; return Action::Continue;
        case '\b':
        case kDelete:
            if (cursor_ == 0)
                bell();
            else
                erase(before_cursor(), cursor_);
            return Action::Continue;
        default: break;
    }
    const char c = static_cast<char>(byte);
    if (byte < ' ')
        control(c);
    else
        insert(Text(&c, 1));
    return Action::Continue;
}

void LineEditor::control(char c) {
    switch (c) {
        case control_key('A'): cursor_ = 0; break;
        case control_key('E'): cursor_ = size_; break;
        case control_key('B'): cursor_ = before_cursor(); break;
        case control_key('F'): cursor_ = after_cursor(); break;
        case control_key('P'): browse_history(true); return;
        case control_key('N'): browse_history(false); return;
        case control_key('U'): erase(0, cursor_); return;
        case control_key('K'): erase(cursor_, size_); return;
        case control_key('W'): {
            size_t from = cursor_;
            while (from > 0 && line_[from - 1] == ' ') --from;
            while (from > 0 && line_[from - 1] != ' ') --from;
            erase(from, cursor_);
            return;
        }
        case control_key('L'): terminal_.write("\x1b[H\x1b[2J"); break;
        case control_key('C'):
            terminal_.write("^C\n");
            begin(prompt_);
            return;
        default: return;
    }
    refresh();
}

void LineEditor::feed_escape(char c) {
    if (escape_ == Escape::Started) {
        escape_ = c == '[' || c == 'O' ? Escape::Bracket : Escape::None;
        escape_number_ = 0;
        return;
    }
    if (c >= '0' && c <= '9') {
        if (escape_number_ < 1000) escape_number_ = escape_number_ * 10 + static_cast<uint32_t>(c - '0');
        return;
    }
    if (c == ';') {  // a modifier follows; only the key matters
        escape_number_ = 0;
        return;
    }
    escape_ = Escape::None;
    switch (c) {
        case 'A': browse_history(true); return;
        case 'B': browse_history(false); return;
        case 'C': cursor_ = after_cursor(); break;
        case 'D': cursor_ = before_cursor(); break;
        case 'H': cursor_ = 0; break;
        case 'F': cursor_ = size_; break;
        case '~':
            if (escape_number_ == 1 || escape_number_ == 7) cursor_ = 0;
            if (escape_number_ == 4 || escape_number_ == 8) cursor_ = size_;
            if (escape_number_ == 3) {
                erase(cursor_, after_cursor());
                return;
            }
            break;
        default: return;
    }
    refresh();
}

size_t LineEditor::before_cursor() const {
    size_t at = cursor_;
    if (at > 0) --at;
    while (at > 0 && is_continuation(line_[at])) --at;
    return at;
}

size_t LineEditor::after_cursor() const {
    size_t at = cursor_;
    if (at < size_) ++at;
    while (at < size_ && is_continuation(line_[at])) ++at;
    return at;
}

void LineEditor::insert(Text text) {
    if (text.size() > kCapacity - size_) {
        bell();
        return;
    }
    __builtin_memmove(line_ + cursor_ + text.size(), line_ + cursor_, size_ - cursor_);
    __builtin_memcpy(line_ + cursor_, text.data(), text.size());
    size_ += text.size();
    cursor_ += text.size();
    // The common case costs no redrawing: typing at the end of a line that fits.
    if (cursor_ == size_ && prompt_.size() + size_ < kColumns)
        terminal_.write(text);
    else
        refresh();
}

void LineEditor::erase(size_t from, size_t to) {
    __builtin_memmove(line_ + from, line_ + to, size_ - to);
    size_ -= to - from;
    cursor_ = from;
    refresh();
}

void LineEditor::replace_line(Text text) {
    size_ = text.size() < kCapacity ? text.size() : kCapacity;
    __builtin_memcpy(line_, text.data(), size_);
    cursor_ = size_;
    refresh();
}

Text LineEditor::history(size_t n) const {
    if (n >= history_count_) return {};
    size_t end = history_used_;
    for (;;) {
        --end;  // the zero behind the line
        size_t begin = end;
        while (begin > 0 && history_[begin - 1] != '\0') --begin;
        if (n-- == 0) return {history_ + begin, end - begin};
        end = begin;
    }
}

void LineEditor::remember() {
    const Text text = line();
    if (text.empty() || text == history(0)) return;
    while (history_count_ == kHistoryLines || history_used_ + text.size() + 1 > sizeof(history_)) {
        size_t first = 0;
        while (history_[first] != '\0') ++first;
        ++first;
        __builtin_memmove(history_, history_ + first, history_used_ - first);
        history_used_ -= first;
        --history_count_;
    }
    __builtin_memcpy(history_ + history_used_, text.data(), text.size());
    history_used_ += text.size();
    history_[history_used_++] = '\0';
    ++history_count_;
}

void LineEditor::browse_history(bool older) {
    if (older ? browsing_ == history_count_ : browsing_ == 0) {
        bell();
        return;
    }
    if (browsing_ == 0) {
        __builtin_memcpy(draft_, line_, size_);
        draft_size_ = size_;
    }
    browsing_ += older ? 1 : SIZE_MAX;
    replace_line(browsing_ == 0 ? Text(draft_, draft_size_) : history(browsing_ - 1));
}

void LineEditor::complete(bool again) {
    const Text before(line_, cursor_);
    const Text word = before.substr(last_word_begin(before));
    CommonPrefix prefix(word);
    if (completer_ != nullptr) completer_->complete(before, prefix);
    if (!prefix.any()) {
        bell();
    } else if (!prefix.several() || prefix.common().size() > word.size()) {
        FixedText<129> rest(prefix.common().substr(word.size()));
        if (!prefix.several() && (cursor_ == size_ || line_[cursor_] != ' ')) rest.append(' ');
        insert(rest.text());
    } else if (again) {
        terminal_.write("\n");
        CandidateList list(word, terminal_);
        completer_->complete(before, list);
        terminal_.write("\n");
        refresh();
    } else {
        bell();
    }
}

void LineEditor::redraw(TextSink& out) const {
    // A line that does not fit is shown from where the cursor comes to stand in the last column.
    const size_t room = kColumns - 1 - prompt_.size() % kColumns;
    size_t begin = 0;
    size_t columns = character_count(Text(line_, cursor_));
    while (columns > room) {
        ++begin;
        while (begin < size_ && is_continuation(line_[begin])) ++begin;
        --columns;
    }
    size_t end = cursor_;
    size_t behind = 0;
    while (end < size_ && columns + behind < room) {
        ++end;
        while (end < size_ && is_continuation(line_[end])) ++end;
        ++behind;
    }
    out.write("\r");
    out.write(prompt_);
    out.write(Text(line_ + begin, end - begin));
    out.write("\x1b[K");
    if (behind > 0) out.print("\x1b[{}D", behind);
}

}  // namespace helix::kernel
