"""The invented world of the sample: what is sold, by whom, in which sizes and words.

All names and sentences are made up; a likeness to a real brand would be chance. Worths are in points: 100 points are
one unit of the natural logarithm of a price, before prices are given by rank.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """One kind of goods."""

    name: str
    department: int
    """Brands sell within one department, 0 to 3."""
    unit: str
    """``Ounce``, ``Fl Oz`` or ``Count``."""
    sizes: tuple[float, float, float, float, float, float]
    """Contents of one pack, in ``unit``."""
    worth: int
    """Points, at a middling quantity."""
    quantity_percent: int
    """By how many percent of a point the worth rises per point of log quantity."""
    look_percent: int
    """How much the look of the packaging counts, in percent."""
    kinds: tuple[str, str, str, str, str, str]
    purpose: str


_SMALL = (1.5, 2.0, 3.5, 5.0, 8.0, 12.0)
_MIDDLE = (6.0, 8.0, 10.5, 12.0, 16.0, 24.0)
_LARGE = (16.0, 24.0, 32.0, 48.0, 64.0, 80.0)
_BOTTLE = (8.0, 12.0, 12.7, 16.9, 25.4, 33.8)
_PIECES = (10.0, 16.0, 20.0, 30.0, 60.0, 100.0)

# fmt: off
CATEGORIES = (
    Category("Herb Tea", 0, "Count", _PIECES, -18, 22, 90,
             ("Mint", "Lemon Balm", "Hibiscus", "Rooibos", "Fennel", "Chamomile"), "a quiet cup in the evening"),
    Category("Ground Coffee", 0, "Ounce", _MIDDLE, 22, 45, 105,
             ("Dark Roast", "Light Roast", "Hazel", "Highland", "Decaf", "House"), "the first cup of the day"),
    Category("Cocoa Powder", 0, "Ounce", _MIDDLE, 8, 35, 80,
             ("Natural", "Dutched", "Spiced", "Malted", "Raw", "Rich"), "baking and hot drinks"),
    Category("Fruit Syrup", 0, "Fl Oz", _BOTTLE, 0, 27, 100,
             ("Cherry", "Elderflower", "Ginger", "Peach", "Lime", "Blackcurrant"), "sodas, cocktails and pancakes"),
    Category("Sparkling Water", 0, "Fl Oz", _BOTTLE, -42, 39, 55,
             ("Plain", "Lemon", "Grapefruit", "Berry", "Cucumber", "Orange"), "long days and cold fridges"),
    Category("Iced Tea Mix", 0, "Ounce", _LARGE, -12, 27, 60,
             ("Peach", "Lemon", "Raspberry", "Unsweetened", "Green", "Mango"), "a jug for the whole table"),
    Category("Hot Sauce", 1, "Fl Oz", _SMALL, -38, 32, 115,
             ("Smoky", "Garlic", "Green Chilli", "Mango", "Extra Hot", "Mild"), "eggs, tacos and noodles"),
    Category("Olive Oil", 1, "Fl Oz", _BOTTLE, 42, 52, 140,
             ("Early Harvest", "Mellow", "Peppery", "Unfiltered", "Lemon", "Cold Pressed"), "salads and slow roasts"),
    Category("Dried Pasta", 1, "Ounce", _MIDDLE, -48, 35, 70,
             ("Spirals", "Shells", "Ribbons", "Tubes", "Wholewheat", "Egg"), "a meal in ten minutes"),
    Category("Long Grain Rice", 1, "Ounce", _LARGE, -30, 49, 55,
             ("White", "Brown", "Jasmine", "Aged", "Parboiled", "Red"), "pilafs and curries"),
    Category("Spice Blend", 1, "Ounce", _SMALL, -20, 15, 110,
             ("Barbecue", "Curry", "Steak", "Taco", "Herb", "Seven Spice"), "rubs, stews and marinades"),
    Category("Canned Beans", 1, "Ounce", _MIDDLE, -55, 39, 45,
             ("Black", "Kidney", "White", "Pinto", "Baked", "Mixed"), "chilli, soup and salad"),
    Category("Dark Chocolate", 2, "Ounce", _SMALL, 2, 39, 150,
             ("Sea Salt", "Orange", "Almond", "Plain", "Mint", "Raspberry"), "a small treat after dinner"),
    Category("Trail Mix", 2, "Ounce", _MIDDLE, 12, 45, 75,
             ("Nut and Berry", "Tropical", "Salted", "Seeded", "Chocolate", "Spicy"), "hikes and desk drawers"),
    Category("Gummy Sweets", 2, "Ounce", _MIDDLE, -28, 32, 95,
             ("Sour", "Fruit", "Cola", "Peach", "Bears", "Ribbons"), "parties and long drives"),
    Category("Crackers", 2, "Ounce", _MIDDLE, -36, 27, 85,
             ("Sesame", "Rye", "Cheese", "Sea Salt", "Rosemary", "Seeded"), "cheese boards and soups"),
    Category("Oat Bars", 2, "Count", _PIECES, -5, 32, 70,
             ("Honey", "Apple", "Cocoa", "Peanut", "Cranberry", "Coconut"), "busy mornings and lunch boxes"),
    Category("Raw Honey", 2, "Ounce", _MIDDLE, 25, 42, 130,
             ("Clover", "Wildflower", "Forest", "Orange Blossom", "Thyme", "Creamed"), "toast, tea and yoghurt"),
    Category("Hand Soap", 3, "Fl Oz", _BOTTLE, -24, 25, 120,
             ("Lavender", "Citrus", "Unscented", "Cedar", "Sea Mist", "Almond"), "kitchens and bathrooms"),
    Category("Shampoo", 3, "Fl Oz", _BOTTLE, 16, 19, 135,
             ("Moisture", "Volume", "Tea Tree", "Gentle", "Argan", "Daily"), "all types of hair"),
    Category("Scented Candle", 3, "Ounce", _SMALL, 46, 12, 150,
             ("Vanilla", "Fig", "Pine", "Linen", "Amber", "Sea Salt"), "cosy rooms and presents"),
    Category("Vitamin Gummies", 3, "Count", _PIECES, 34, 29, 85,
             ("Immune", "Multi", "Sleep", "Hair", "Vitamin C", "Children"), "a simple daily routine"),
    Category("Dog Treats", 3, "Ounce", _MIDDLE, 20, 42, 75,
             ("Chicken", "Beef", "Salmon", "Peanut", "Pumpkin", "Duck"), "training and good behaviour"),
    Category("Laundry Sheets", 3, "Count", _PIECES, 28, 35, 65,
             ("Fresh Linen", "Unscented", "Lavender", "Sport", "Baby", "Eucalyptus"), "small homes and travel"),
)
# fmt: on

PACKS = (1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 6, 8, 12, 24)
"""Packs sold together; a number that stands here twice is twice as likely."""

DEPARTMENTS = 4
BRANDS_PER_DEPARTMENT = 60

_BRAND_STARTS = ("Quor", "Velt", "Tamb", "Brix", "Osm", "Lunth", "Ferr", "Jask", "Mird", "Hap", "Zell", "Pind")
_BRAND_ENDS = (
    *("avale", "illoy", "ewend", "ondra", "umere", "iquen", "oskay", "arbeth", "enoth", "ulay"),
    *("imble", "orvane", "astrel", "ettow", "upsey", "inver", "olune", "agrith", "ebrook", "uxley"),
)

BRANDS = tuple(start + end for end in _BRAND_ENDS for start in _BRAND_STARTS)
"""Brand ``b`` sells in department ``b % DEPARTMENTS``."""

KINDS = len(CATEGORIES[0].kinds)

GRADES = ("Everyday", "Classic", "Select", "Reserve", "Grand Reserve")
"""A word of the title that the picture does not show."""
GRADE_WORTHS = (-30, -20, 0, 20, 60)
"""The best grade is worth far more than the one below it."""


@dataclass(frozen=True)
class Claim:
    """Something that a listing says about a product, and only its text shows."""

    title: str
    sentence: str
    worth: int
    percent: int
    """Share of the products that claim it."""


CLAIMS = (
    Claim("Organic", "CERTIFIED ORGANIC: grown without synthetic sprays on inspected farms", 26, 22),
    Claim("Gluten Free", "GLUTEN FREE: packed on a line of its own and tested batch by batch", 12, 25),
    Claim("Small Batch", "SMALL BATCH: made forty kilos at a time by people who taste each one", 22, 15),
    Claim("Value Line", "SENSIBLE PRICE: plain packing, no frills, the same recipe", -28, 20),
    Claim("Imported", "IMPORTED: shipped sealed from the place where the recipe comes from", 18, 18),
    Claim("Limited Edition", "LIMITED EDITION: one numbered run, and then no more", 30, 6),
)

FILLER_SENTENCES = (
    "EASY TO STORE: keep it closed, cool and dry and it stays at its best for months",
    "FOR EVERY DAY: made to be used often and finished to the last bit",
    "WORTH SHARING: bring it to neighbours, colleagues and family tables",
    "SIMPLE LIST: a short list of ingredients that you can read aloud",
    "PACKED WITH CARE: each unit is checked twice before it leaves us",
    "MADE TO LAST: sturdy packing that survives cupboards and suitcases",
    "A SMALL PRESENT: a welcome surprise for hosts and new neighbours",
    "ASK US: our team answers every message within two working days",
)

DESCRIPTION_SENTENCES = (
    "We started with one stall and one recipe, and the recipe has not changed.",
    "Open it, smell it, and you will know why people come back.",
    "It took us three years to get this right, and we think it shows.",
    "There is nothing clever about it: good material, patience and a clean workshop.",
    "Please read the label before use and recycle the packing afterwards.",
    "If you are not happy with it, tell us and we will put it right.",
)
