"""What things are called: from an emoji's label to the noun that a caption uses, and how that noun behaves."""

import re

# Labels that nobody would say, and what people say instead.
NAMES = {
    "lady beetle": "ladybug",
    "honeybee": "bee",
    "snowman without snow": "snowman",
    "snowman": "snowman in falling snow",
    "jack-o-lantern": "pumpkin",
    "sun with face": "smiling sun",
    "automobile": "car",
    "oncoming automobile": "oncoming car",
    "T-Rex": "dinosaur",
    "sauropod": "long-necked dinosaur",
    "front-facing baby chick": "newborn chick",
    "ewe": "sheep",
    "locomotive": "steam train",
    "articulated lorry": "big truck",
    "hot beverage": "cup of coffee",
    "high voltage": "lightning bolt",
    "ringed planet": "planet with rings",
    "two-hump camel": "two-humped camel",
    "fire engine": "fire truck",
    "blowfish": "pufferfish",
    "water wave": "big wave",
    "droplet": "drop of water",
    "beer mug": "mug of beer",
    "teacup without handle": "cup of tea",
    "hourglass done": "hourglass",
    "hourglass not done": "running hourglass",
    "mantelpiece clock": "old clock",
    "hundred points": "red number 100",
    "ZZZ": "sleeping sign",
    "sun behind small cloud": "sun with a small cloud",
    "sun behind large cloud": "sun with a large cloud",
    "sun behind rain cloud": "sun with a rain cloud",
    "sun behind cloud": "sun behind a cloud",
    "cloud with rain": "rain cloud",
    "cloud with snow": "snow cloud",
    "cloud with lightning": "thundercloud",
    "cloud with lightning and rain": "stormy thundercloud",
    "umbrella with rain drops": "umbrella in the rain",
    "bottle with popping cork": "bottle of champagne",
    "spiral calendar": "calendar",
    "camera with flash": "flashing camera",
    "face without mouth": "face without a mouth",
    "Mx Claus": "person dressed as Santa Claus",
    "heart decoration": "heart in a box",
    "heart exclamation": "heart-shaped exclamation mark",
    "heart with ribbon": "heart with a ribbon",
    "heart with arrow": "heart with an arrow",
    "alien monster": "pixel monster",
    "face with thermometer": "face with a thermometer",
    "face with monocle": "face with a monocle",
    "1st place medal": "gold medal",
    "2nd place medal": "silver medal",
    "3rd place medal": "bronze medal",
    "milky way": "galaxy",
    "yarn": "ball of yarn",
    "thread": "spool of thread",
    "headphone": "pair of headphones",
    "cooking": "frying pan with an egg",
    "wood": "log",
    "soap": "bar of soap",
    "salt": "salt shaker",
    "butter": "piece of butter",
    "ice": "ice cube",
    "ice hockey": "ice hockey stick and puck",
    "field hockey": "field hockey stick and ball",
    "lacrosse": "lacrosse stick",
    "badminton": "badminton racket and shuttlecock",
    "ping pong": "ping pong racket",
    "tennis": "tennis ball",
    "bowling": "bowling ball and pins",
    "cricket game": "cricket bat and ball",
    "construction": "construction barrier",
    "horse racing": "jockey on a horse",
    "performing arts": "theatre mask",
    "rolling on the floor laughing": "face rolling with laughter",
    "dna": "strand of DNA",
    "speaker low volume": "quiet speaker",
    "speaker medium volume": "speaker",
    "speaker high volume": "loud speaker",
    "mount fuji": "Mount Fuji",
    "nail polish": "bottle of nail polish",
}
# Labels drop small words that a sentence needs.
_REPAIRS = (
    (r"\b(feeding) baby\b", r"\1 a baby"),
    (r"\b(taking|getting) (bath|massage|haircut)\b", r"\1 a \2"),
    (r"\b(rowing) boat\b", r"\1 a boat"),
    (r"\b(bouncing) ball\b", r"\1 a ball"),
    (r"\b(raising|tipping) hand\b", r"\1 a hand"),
    (r"\b(wearing) turban\b", r"\1 a turban"),
    (r"\b(with) (veil|skullcap|headscarf|crown|white cane|hearing aid)\b", r"\1 a \2"),
    (r"\b(in) (suit|tuxedo|motorized wheelchair|manual wheelchair|steamy room|lotus position)\b", r"\1 a \2"),
    (r"\bgesturing (NO|OK)\b", r"gesturing \1"),
    (r"^(person|man|woman) with bald\b", r"bald \1"),
    (r"^(person|man|woman), bald\b", r"bald \1"),
    (r"’", "'"),
)
# Things of which there are several in one picture, and things that take no article.
_PLURAL = re.compile(
    r"^(grapes|cherries|blueberries|beans|peanuts|pancakes|chopsticks|french fries|socks|gloves|jeans|shorts|briefs|"
    r"goggles|glasses|sunglasses|scissors|books|houses|skis|fireworks|bubbles|sparkles|chains|maracas|eyes|footprints|"
    r"revolving hearts|sweat droplets|paw prints|musical notes|hot springs|crossed swords|ballet shoes|lungs|"
    r"nesting dolls|Japanese dolls|shopping bags|prayer beads|linked paperclips|admission tickets|film frames|"
    r"(clinking|clapping|open|raising|folded|heart) (beer mugs|glasses|hands)|thumbs (up|down)|crossed fingers|"
    r"pinched fingers|control knobs|flower playing cards|woman's clothes|palms up together|"
    r"(people|men|women|busts|two)\b.*|(a )?(woman|man|person) and .*)"
)
_PROPER = re.compile(r"^(Santa Claus|Mrs\. Claus|Mount Fuji|Tokyo tower|Statue of Liberty)")
_MASS = re.compile(
    r"^(bacon|bread|baguette bread|popcorn|cooked rice|curry rice|shaved ice|sushi|spaghetti|fire|garlic|ginger root|"
    r"money with wings|canned food|cut of meat|meat on bone|pouring liquid)$"
)
_PEOPLE = {"man": "men", "woman": "women", "person": "people", "adult": "adults", "boy": "", "girl": "", "child": ""}

# Which way a sprite looks, where it looks to one side: it is mirrored when it moves the other way.
FACING = {
    "whale": "left",
    "tropical fish": "left",
    "unicorn": "left",
    "bee": "left",
    "turtle": "left",
    "parrot": "right",
    "tractor": "left",
    "helicopter": "left",
    "rocket": "right",
    "dolphin": "left",
    "shark": "left",
    "elephant": "left",
    "car": "left",
    "taxi": "left",
    "fire truck": "left",
    "baby chick": "left",
    "flamingo": "left",
    "bird": "left",
    "snail": "left",
    "fish": "left",
    "bison": "left",
    "rat": "left",
    "duck": "left",
    "speedboat": "left",
    "long-necked dinosaur": "left",
    "dinosaur": "left",
    "giraffe": "left",
    "zebra": "left",
    "rooster": "left",
    "bug": "left",
    "dove": "left",
    "passenger ship": "left",
}


def name_of(label: str) -> str:
    """The noun phrase, without an article, for an emojibase label."""
    head, _, rest = label.partition(": ")
    name = NAMES.get(head, head)
    if head == "flag":
        name = f"flag of {rest}"
    elif head == "keycap":
        name = f"keycap {rest}"
    elif rest:
        name = _featured(name, rest.split(", "))
    elif re.search(r"(o’clock|-thirty)$", head):
        name = f"clock showing {head}"
    for pattern, replacement in _REPAIRS:
        name = re.sub(pattern, replacement, name)
    return name


def _featured(head: str, features: list[str]) -> str:
    """A person or people with what tells them apart: "woman with red hair", "family of a man and a boy"."""
    people = [feature for feature in features if feature in _PEOPLE]
    rest = [feature for feature in features if feature not in people]
    if people and head == "family":
        head = f"family of {_and([with_article(person) for person in people])}"
    elif people:
        pair = f"two {_PEOPLE[people[0]]}" if people[0] == people[1] else _and([with_article(p) for p in people])
        head = f"{pair} {'kissing' if head == 'kiss' else 'with a heart between them'}"
    if "bald" in rest:
        head = f"bald {head}"
    if "facing right" in rest:
        head = f"{head} facing right"
    said = [f"a {feature}" if feature == "beard" else feature for feature in rest]
    said = [feature for feature in said if feature not in ("bald", "facing right")]
    return f"{head} with {_and(said)}" if said else head


def _and(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def is_plural(name: str) -> bool:
    """Whether the name stands for several things: "grapes"."""
    return bool(_PLURAL.match(name))


def is_proper(name: str) -> bool:
    """Whether the name is somebody's or some place's own: "Santa Claus"."""
    return bool(_PROPER.match(name))


def with_article(noun: str, name: str | None = None) -> str:
    """A noun phrase with the article it takes; `name` is the thing's own name, where adjectives precede it."""
    name = name or noun
    if is_plural(name) or is_proper(name) or _MASS.match(name):
        return noun
    if name.startswith("flag of "):
        return f"the {noun}"
    # "a unicorn", "a UFO" and "a one o'clock" begin with a consonant sound; "an hourglass" does not.
    vowel = noun[0].lower() in "aeiou" and not re.match(r"(uni|ufo|use|one|eu|up-)", noun, re.IGNORECASE)
    if noun.startswith("a "):
        return noun
    return f"{'an' if vowel or noun.startswith('hour') else 'a'} {noun}"


def bare(phrase: str) -> str:
    """A phrase cut down to keywords: no articles, and no leading preposition where several words remain."""
    words = re.sub(r"\b(the|an?) ", "", phrase)
    return re.sub(r"^(in front of|against|on|in|over|above|under|among|between|inside|up) (?=\w+ \w)", "", words)
