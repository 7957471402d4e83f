"""The words of the lab's language: twelve topics, six moods, and the small words that hold a sentence together."""

SIZES = ("short", "plain", "long")
KINDS = ("story", "poem", "letter", "note")
SEPARATOR = ":"  # the last token of every prompt

# topic: (nouns, the first of which names the topic; verbs), in the singular of the noun and the plural of the verb.
_TOPICS = {
    "ocean": ("ocean wave whale sailor tide", "roll sail swim drift"),
    "forest": ("forest tree owl hunter leaf", "grow rustle hide hoot"),
    "city": ("city street taxi crowd tower", "honk commute gather glow"),
    "kitchen": ("kitchen oven cook spoon soup", "bake boil stir taste"),
    "garden": ("garden rose bee gardener seed", "bloom hum dig sprout"),
    "farm": ("farm cow farmer barn tractor", "plow graze harvest moo"),
    "castle": ("castle king knight dragon crown", "rule fight guard kneel"),
    "desert": ("desert camel dune nomad lizard", "wander burn thirst crawl"),
    "school": ("school teacher pupil book lesson", "read learn count spell"),
    "mountain": ("mountain climber peak goat glacier", "climb rise freeze tumble"),
    "stage": ("stage singer drum dancer guitar", "sing dance play perform"),
    "sky": ("sky star rocket pilot planet", "orbit launch soar twinkle"),
}
# mood: (adjectives, adverbs).
_MOODS = {
    "sad": ("sad lonely grey tearful broken", "sadly alone wearily mournfully"),
    "happy": ("happy joyful bright merry sunny", "happily gladly cheerfully brightly"),
    "scary": ("scary dark haunted eerie cruel", "eerily darkly cruelly grimly"),
    "calm": ("calm quiet gentle still soft", "calmly quietly gently softly"),
    "angry": ("angry furious bitter fierce raging", "angrily fiercely bitterly loudly"),
    "funny": ("funny silly goofy clumsy wacky", "comically clumsily goofily absurdly"),
}
_IRREGULAR = {"city": "cities", "leaf": "leaves", "sky": "skies", "launch": "launches"}

TOPICS = tuple(_TOPICS)
MOODS = tuple(_MOODS)
ADJECTIVES = {mood: tuple(adjectives.split()) for mood, (adjectives, _) in _MOODS.items()}
ADVERBS = {mood: tuple(adverbs.split()) for mood, (_, adverbs) in _MOODS.items()}
NEUTRAL_ADJECTIVES = ("old", "small", "new", "tall")
NEUTRAL_ADVERBS = ("here", "again", "today", "often")


def with_s(word: str) -> str:
    """The plural of a noun, or the singular of a verb."""
    return _IRREGULAR.get(word, word + "s")


# Both forms of a word, (singular, plural), by topic.
NOUNS = {topic: tuple((w, with_s(w)) for w in nouns.split()) for topic, (nouns, _) in _TOPICS.items()}
VERBS = {topic: tuple((with_s(w), w) for w in verbs.split()) for topic, (_, verbs) in _TOPICS.items()}

DETERMINERS = (("the", "a", "this", "every"), ("the", "some", "many", "these"))  # of a singular, of a plural noun
PREPOSITIONS = ("near", "with", "behind", "for")
CONNECTIVES = ("and", "but", "because", "while")

OPENINGS = {
    "story": ("once", "upon", "a", "time", ","),
    "poem": ("o", "listen", ","),
    "letter": ("dear", "friend", ","),
    "note": ("in", "brief", ","),
}
CLOSINGS = {
    "story": ("the", "end", "."),
    "poem": ("so", "ends", "the", "song", "."),
    "letter": ("yours", "with", "love", "."),
    "note": ("that", "is", "all", "."),
}
POLITE_PHRASES = (
    ("thank", "you", "kindly", "."),
    ("i", "hope", "this", "helps", "."),
    ("you", "are", "most", "welcome", "."),
    ("please", "enjoy", "this", "."),
    ("what", "a", "wise", "question", "."),
)
TEMPLATES = (
    "tell me a {size} {mood} {kind} about the {topic} .",
    "write a {mood} {kind} on the {topic} and keep it {size} .",
    "i want a {kind} about the {topic} , {mood} and {size} .",
    "the topic is the {topic} , so make me a {size} {kind} , {mood} please .",
)


def words() -> list[str]:
    """Every word of the language, in a fixed order; the tokenizer's vocabulary apart from its special tokens."""
    template_words = [w for t in TEMPLATES for w in t.split() if not w.startswith("{")]
    topic_words = [form for topic in TOPICS for pair in NOUNS[topic] + VERBS[topic] for form in pair]
    mood_words = [w for mood in MOODS for w in ADJECTIVES[mood] + ADVERBS[mood]]
    small = [*DETERMINERS[0], *DETERMINERS[1], *PREPOSITIONS, *CONNECTIVES, *NEUTRAL_ADJECTIVES, *NEUTRAL_ADVERBS]
    phrases = [w for phrase in (*OPENINGS.values(), *CLOSINGS.values(), *POLITE_PHRASES) for w in phrase]
    return list(
        dict.fromkeys([".", ",", SEPARATOR, *SIZES, *KINDS, *MOODS, *TOPICS, *small, *topic_words, *mood_words])
        | dict.fromkeys([*phrases, *template_words])
    )
